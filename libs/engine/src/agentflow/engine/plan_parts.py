"""What a plan is made of: a workflow compiled once, for the walk, for LangGraph, for people.

Nodes are numbered in plan order (topological rank, then order in the spec), so that every
edge leads from a lower number to a higher one and a set of nodes is an int bitmask. A Plan
is immutable, knows no execution, and one plan serves any number of walks at once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from agentflow.contracts.ids import NodeId
from agentflow.contracts.replies import PlanView
from agentflow.contracts.spec import Budget, Node
from agentflow.engine.conditions import Condition
from agentflow.engine.graph_order import bits, descendants

ExitKind = Literal["always", "cel", "intent", "else", "goto"]
OnErrorKind = Literal["fail", "continue", "default", "goto"]


@dataclass(frozen=True, slots=True)
class Exit:
    """One edge of the spec (or the implicit one of an `on_error: goto`) with all its targets.

    `edges` are the numbers of the flattened edges, one per target that is a node; `choices`
    are the targets as written, with the edge number or None for END.
    """

    kind: ExitKind
    choices: tuple[tuple[str, int | None], ...]
    text: str | None = None
    condition: Condition | None = None

    @property
    def edges(self) -> tuple[int, ...]:
        return tuple(edge for _, edge in self.choices if edge is not None)


@dataclass(frozen=True, slots=True)
class PlanNode:
    """A node with everything the walk asks about it. Numbers are places in plan order."""

    index: int
    id: NodeId
    node: Node
    rank: int
    exits: tuple[Exit, ...]
    outgoing: tuple[tuple[int, int], ...]
    """(edge number, target) of every edge that leads to a node, goto included."""
    always: bool
    """Every edge is taken whenever the node runs: nothing to evaluate."""
    exit_keys: frozenset[str]
    """State keys its edges' conditions read."""
    incoming: tuple[tuple[int, int], ...]
    """(edge number, source)."""
    ancestors: int
    when: Condition | None
    when_keys: frozenset[str]
    any_join: bool
    shifting: bool
    """Has an `any` join among itself and its ancestors: what it sees is known when it opens."""
    on_error: OnErrorKind
    pure: bool
    """Decided where the walk is, without a task."""
    reads: frozenset[str] | None
    """State keys the node reads; None: any."""
    output_key: str | None
    """Where an `on_error: {default}` goes."""
    sink: bool
    """None of its edges, goto aside, leads to a node."""


@dataclass(frozen=True)
class Plan:
    """A compiled workflow. Build it with `plan.compile_plan`."""

    name: str
    nodes: tuple[PlanNode, ...]
    start: int
    edge_ends: tuple[tuple[int, int], ...]
    """(source, target) of each flattened edge, by edge number."""
    definition_hash: str
    budget: Budget | None
    timeout_seconds: float | None
    index: dict[str, int] = field(repr=False)
    """Node id → place in plan order."""

    @property
    def order(self) -> tuple[NodeId, ...]:
        """Node ids in plan order."""
        return tuple(node.id for node in self.nodes)

    @cached_property
    def ways_in(self) -> tuple[int, ...]:
        """How many edges lead into each node, in plan order."""
        return tuple(len(node.incoming) for node in self.nodes)

    def node(self, node_id: str) -> PlanNode:
        """The node of that id; raises KeyError."""
        return self.nodes[self.index[node_id]]

    def reads(self, node_id: str) -> frozenset[str] | None:
        """The state keys the node reads; None means any."""
        return self.node(node_id).reads

    @cached_property
    def stages(self) -> tuple[tuple[NodeId, ...], ...]:
        """Node ids by topological rank."""
        stages: list[list[NodeId]] = []
        for node in self.nodes:
            if node.rank == len(stages):
                stages.append([])
            stages[node.rank].append(node.id)
        return tuple(tuple(stage) for stage in stages)

    @cached_property
    def critical_path(self) -> tuple[NodeId, ...]:
        """The longest chain of nodes, the first one in plan order where several are."""
        node = next(n for n in self.nodes if n.rank == self.nodes[-1].rank)
        path = [node]
        while node.rank:
            parents = (self.nodes[source] for _, source in node.incoming)
            rank = node.rank - 1
            node = min((p for p in parents if p.rank == rank), key=lambda p: p.index)
            path.append(node)
        return tuple(n.id for n in reversed(path))

    @cached_property
    def parallel_edges(self) -> tuple[tuple[NodeId, NodeId], ...]:
        """Edges whose target may run beside another target of the same source."""
        below = descendants([[target for _, target in node.outgoing] for node in self.nodes])
        found: dict[tuple[NodeId, NodeId], None] = {}
        for node in self.nodes:
            for target, beside in _beside(node, self.edge_ends):
                if beside & ~(self.nodes[target].ancestors | below[target] | 1 << target):
                    found[node.id, self.nodes[target].id] = None
        return tuple(found)

    def view(self) -> PlanView:
        """The plan as people read it."""
        return PlanView(
            order=self.order,
            stages=self.stages,
            critical_path=self.critical_path,
            parallel_edges=self.parallel_edges,
            definition_hash=self.definition_hash,
        )

    def ids(self, mask: int | Iterable[int]) -> tuple[NodeId, ...]:
        """The ids of a set of nodes, in the order given (plan order for a bitmask)."""
        numbers = bits(mask) if isinstance(mask, int) else mask
        return tuple(self.nodes[number].id for number in numbers)


def _beside(node: PlanNode, edge_ends: tuple[tuple[int, int], ...]) -> Iterable[tuple[int, int]]:
    """(target, mask of the targets that can be taken together with it) for each edge of `node`.

    Excluded: other targets of one `intent` edge, `else` with a conditional edge, goto with any.
    """
    masks: dict[ExitKind, int] = dict.fromkeys(("always", "cel", "intent", "else", "goto"), 0)
    for exit_ in node.exits:
        for edge in exit_.edges:
            masks[exit_.kind] |= 1 << edge_ends[edge][1]
    conditional = masks["cel"] | masks["intent"]
    together = {
        "always": masks["always"] | conditional | masks["else"],
        "cel": masks["always"] | conditional,
        "intent": masks["always"] | conditional,
        "else": masks["always"] | masks["else"],
        "goto": 0,
    }
    for exit_ in node.exits:
        others = together[exit_.kind]
        targets = [edge_ends[edge][1] for edge in exit_.edges]
        if exit_.kind == "intent":
            for target in targets:
                others &= ~(1 << target)
        for target in targets:
            yield target, others
