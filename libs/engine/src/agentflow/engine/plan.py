"""From a WorkflowSpec to a Plan, once per definition. Linear in nodes and edges.

What cannot be walked is refused with every reason found: duplicate ids, unknown ends of
edges, cycles (with their edges), bad conditions. The full check of a spec, with warnings,
places and hints, is the validation's; this is the last guard behind it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from agentflow.contracts.errors import InvalidSpec
from agentflow.contracts.ids import NodeId
from agentflow.contracts.problem import Issue
from agentflow.contracts.spec import END, DefaultOnError, GotoOnError, Node, WorkflowSpec
from agentflow.engine import graph_order
from agentflow.engine.conditions import Condition, compile_condition, edge_condition_kind
from agentflow.engine.definition import definition_hash
from agentflow.engine.errors import BadCondition
from agentflow.engine.nodes import default_output_key, is_pure, reads
from agentflow.engine.plan_parts import Exit, ExitKind, OnErrorKind, Plan, PlanNode
from agentflow.engine.state_keys import condition_keys

__all__ = ["Exit", "Plan", "PlanNode", "compile_plan"]

MAX_ANCESTOR_BYTES = 128 * 1024 * 1024
"""Room for the ancestor bitmasks of one plan: a chain of 40,000 nodes, or a fan of 100,000."""


@dataclass(frozen=True, slots=True)
class _RawExit:
    kind: ExitKind
    targets: tuple[str, ...]
    text: str | None
    condition: Condition | None = None


def compile_plan(spec: WorkflowSpec) -> Plan:
    """The plan of `spec`; raises InvalidSpec with every issue that makes it unwalkable."""
    issues: list[Issue] = []
    places = _places(spec, issues)
    raw = _raw_exits(spec, places, issues)
    whens = {
        n.id: _condition(n.when, f"/nodes/{i}/when", n.id, issues)
        for i, n in enumerate(spec.nodes)
        if n.when is not None
    }
    _refuse(issues)
    followers = [
        [places[t] for exit_ in raw[node.id] for t in exit_.targets if t != END]
        for node in spec.nodes
    ]
    rank = graph_order.ranks(followers)
    if rank is None:
        raise InvalidSpec("The workflow has a cycle.", issues=[_cycle(spec, followers)])
    order = sorted(range(len(spec.nodes)), key=lambda place: (rank[place], place))
    nodes = [spec.nodes[place] for place in order]
    return _Builder(spec, nodes, [rank[place] for place in order], raw, whens).build()


def _places(spec: WorkflowSpec, issues: list[Issue]) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, node in enumerate(spec.nodes):
        if node.id in places:
            message = f"Two nodes have the id {node.id!r}."
            issues.append(_issue("duplicate_id", message, f"/nodes/{place}/id", node.id))
        places[node.id] = place
    if spec.start_node not in places:
        message = f"The start node {spec.start_node!r} is not among the nodes."
        issues.append(_issue("missing_start_node", message, "/start_node"))
    return places


def _raw_exits(
    spec: WorkflowSpec, places: dict[str, int], issues: list[Issue]
) -> dict[str, list[_RawExit]]:
    exits: dict[str, list[_RawExit]] = {node.id: [] for node in spec.nodes}
    for number, edge in enumerate(spec.edges):
        pointer = f"/edges/{number}"
        kind = edge_condition_kind(edge.condition, edge.targets)
        condition = None
        if kind == "cel":
            condition = _condition(edge.condition, f"{pointer}/condition", edge.source, issues)
        _check_targets(edge.targets, places, f"{pointer}/to", edge.source, issues)
        if edge.source not in places:
            message = f"The edge comes from {edge.source!r}, which is not a node."
            issues.append(_issue("unknown_edge_source", message, f"{pointer}/from"))
            continue
        exits[edge.source].append(_RawExit(kind, edge.targets, edge.condition, condition))
    for place, node in enumerate(spec.nodes):
        if isinstance(node.on_error, GotoOnError):
            goto = (node.on_error.goto,)
            _check_targets(goto, places, f"/nodes/{place}/on_error/goto", node.id, issues)
            exits[node.id].append(_RawExit("goto", goto, None))
    return exits


def _check_targets(
    targets: Iterable[str],
    places: dict[str, int],
    pointer: str,
    source: str,
    issues: list[Issue],
) -> None:
    for target in targets:
        if target not in places and target != END:
            message = f"The way from {source!r} leads to {target!r}, which is not a node."
            issues.append(_issue("unknown_edge_target", message, pointer, source))


def _condition(
    text: str | None, pointer: str, node_id: str, issues: list[Issue]
) -> Condition | None:
    try:
        return compile_condition(text or "")
    except BadCondition as error:
        issues.append(
            _issue("bad_condition", f"{error.message} In {text!r}.", pointer, node_id, error.hint)
        )
        return None


def _cycle(spec: WorkflowSpec, followers: list[list[int]]) -> Issue:
    path = [spec.nodes[place].id for place in graph_order.find_cycle(followers)]
    shown = [*path, path[0]] if len(path) <= 20 else [*path[:20], "…", path[0]]
    return _issue(
        "cycle",
        f"The edges form a cycle: {' → '.join(shown)}.",
        "/edges",
        path[0],
        "A workflow runs each node at most once; take one of these edges out.",
    )


def _issue(
    code: str,
    message: str,
    pointer: str,
    node_id: str | None = None,
    hint: str | None = None,
) -> Issue:
    return Issue(code=code, message=message, pointer=pointer, node_id=node_id, hint=hint)


def _refuse(issues: list[Issue]) -> None:
    if issues:
        raise InvalidSpec(issues[0].message, issues=issues)


def _on_error(node: Node) -> OnErrorKind:
    if isinstance(node.on_error, DefaultOnError):
        return "default"
    return "goto" if isinstance(node.on_error, GotoOnError) else node.on_error


class _Builder:
    """Numbers the edges in plan order and puts the nodes together."""

    def __init__(
        self,
        spec: WorkflowSpec,
        nodes: list[Node],
        rank: list[int],
        raw: dict[str, list[_RawExit]],
        whens: dict[str, Condition | None],
    ) -> None:
        self._spec = spec
        self._nodes = nodes
        self._rank = rank
        self._raw = raw
        self._whens = whens
        self._index = {node.id: place for place, node in enumerate(nodes)}
        self._ends: list[tuple[int, int]] = []

    def build(self) -> Plan:
        exits = [self._exits(place) for place in range(len(self._nodes))]
        ancestors = self._ancestors()
        shifting = 0
        for place, node in enumerate(self._nodes):
            if node.join == "any" or ancestors[place] & shifting:
                shifting |= 1 << place
        outgoing: list[list[tuple[int, int]]] = [[] for _ in self._nodes]
        incoming: list[list[tuple[int, int]]] = [[] for _ in self._nodes]
        for edge, (source, target) in enumerate(self._ends):
            outgoing[source].append((edge, target))
            incoming[target].append((edge, source))
        nodes = []
        for place in range(len(self._nodes)):
            ways = _Ways(exits[place], tuple(outgoing[place]), tuple(incoming[place]))
            nodes.append(self._node(place, ways, ancestors[place], bool(shifting >> place & 1)))
        return self._plan(tuple(nodes))

    def _plan(self, nodes: tuple[PlanNode, ...]) -> Plan:
        spec = self._spec
        return Plan(
            name=spec.name,
            nodes=nodes,
            start=self._index[spec.start_node],
            edge_ends=tuple(self._ends),
            definition_hash=definition_hash(spec),
            budget=spec.budget,
            timeout_seconds=spec.timeout_seconds,
            index=self._index,
        )

    def _exits(self, place: int) -> tuple[Exit, ...]:
        made = []
        for raw in self._raw[self._nodes[place].id]:
            choices: list[tuple[str, int | None]] = []
            for target in raw.targets:
                if target == END:
                    choices.append((target, None))
                    continue
                choices.append((target, len(self._ends)))
                self._ends.append((place, self._index[target]))
            made.append(Exit(raw.kind, tuple(choices), raw.text, raw.condition))
        return tuple(made)

    def _ancestors(self) -> list[int]:
        followers: list[list[int]] = [[] for _ in self._nodes]
        for source, target in self._ends:
            followers[source].append(target)
        try:
            return graph_order.ancestors(followers, MAX_ANCESTOR_BYTES)
        except graph_order.TooLarge as error:
            message = f"The workflow is too large to plan: {error}"
            raise InvalidSpec(
                message, issues=[_issue("workflow_too_large", message, "/nodes")]
            ) from None

    def _node(self, place: int, ways: "_Ways", ancestors: int, shifting: bool) -> PlanNode:
        node = self._nodes[place]
        when = self._whens.get(node.id)
        goto_edges = {e for exit_ in ways.exits if exit_.kind == "goto" for e in exit_.edges}
        return PlanNode(
            index=place,
            id=NodeId(node.id),
            node=node,
            rank=self._rank[place],
            exits=ways.exits,
            outgoing=ways.outgoing,
            always=all(exit_.kind == "always" for exit_ in ways.exits),
            exit_keys=_exit_keys(ways.exits),
            incoming=ways.incoming,
            ancestors=ancestors,
            when=when,
            when_keys=frozenset() if when is None else condition_keys(when),
            any_join=node.join == "any",
            shifting=shifting,
            on_error=_on_error(node),
            pure=node.pool is None and is_pure(node),
            reads=reads(node),
            output_key=default_output_key(node),
            sink=all(edge in goto_edges for edge, _ in ways.outgoing),
        )


@dataclass(frozen=True, slots=True)
class _Ways:
    exits: tuple[Exit, ...]
    outgoing: tuple[tuple[int, int], ...]
    incoming: tuple[tuple[int, int], ...]


def _exit_keys(exits: tuple[Exit, ...]) -> frozenset[str]:
    keys: set[str] = set()
    for exit_ in exits:
        if exit_.kind == "intent":
            keys.add("intent")
        elif exit_.condition is not None:
            keys |= condition_keys(exit_.condition)
    return frozenset(keys)
