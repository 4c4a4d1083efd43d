"""Lineage: which nodes come before which, and which can never run in the same execution.

Sets of nodes are int bitmasks in plan order. Two nodes exclude each other when every way to
one passes a choice that every way to the other decides otherwise: two targets of one
`intent` edge, an `else` and the conditions it stands against, a goto and the node's own edges.
"""

from collections.abc import Iterator
from typing import Final

from agentflow.engine import graph_order
from agentflow.engine.conditions import edge_condition_kind
from agentflow.engine.validation.draft import Draft, EdgeDraft
from agentflow.engine.validation.graph import Graph

MAX_ANCESTOR_BYTES: Final = 64 * 1024 * 1024
MAX_WAYS: Final = 50
Way = tuple[int, int, int]
"""(source, target, mask of the choices the way stands for)."""


class Lineage:
    """Ancestors and exclusions of the nodes of a graph without cycles."""

    def __init__(self, draft: Draft, graph: Graph, rank: list[int]) -> None:
        """Raises graph_order.TooLarge when the graph is too large for this."""
        order = sorted(range(len(graph.ids)), key=lambda number: (rank[number], number))
        self.ids = [graph.ids[number] for number in order]
        self.place = {node_id: place for place, node_id in enumerate(self.ids)}
        renamed = {number: place for place, number in enumerate(order)}
        followers = [[renamed[target] for target in graph.followers[number]] for number in order]
        self.ancestors = graph_order.ancestors(followers, MAX_ANCESTOR_BYTES)
        self._choices = _Choices()
        self._incoming: list[list[Way]] = [[] for _ in self.ids]
        for way in self._ways(draft):
            self._incoming[way[1]].append(way)
        self._decided = self._decisions()

    def excluded(self, one: int, other: int) -> bool:
        """Whether the two nodes can be seen never to run both."""
        return self._rules_out(one, other) or self._rules_out(other, one)

    def _rules_out(self, one: int, other: int) -> bool:
        """Whether what is decided when `one` runs closes every way into `other`."""
        against = self._choices.against(self._decided[one])
        if not against:
            return False
        ways = self._incoming[other]
        return 0 < len(ways) <= MAX_WAYS and all(
            against & (self._decided[source] | made) for source, _, made in ways
        )

    def _decisions(self) -> list[int]:
        """For each node the choices every way to it has made."""
        decided = [0] * len(self.ids)
        for place, incoming in enumerate(self._incoming):
            if incoming:
                common = -1
                for source, _, made in incoming:
                    common &= decided[source] | made
                decided[place] = common
        return decided

    def _ways(self, draft: Draft) -> Iterator[Way]:
        leaving: dict[str, list[EdgeDraft]] = {}
        for edge in draft.edges:
            if edge.source in self.place:
                leaving.setdefault(edge.source, []).append(edge)
        for node_id, place in self.place.items():
            edges, goto = leaving.get(node_id, ()), draft.by_id[node_id].goto
            fine = self._choices.group() if goto and edges else None
            rest = self._choices.group() if _has_else(edges) else None
            for edge in edges:
                own = fine.choice("edges") if fine else 0
                yield from self._edge_ways(place, edge, rest, own)
            if goto and goto[0] in self.place:
                yield place, self.place[goto[0]], fine.choice("goto") if fine else 0

    def _edge_ways(
        self, place: int, edge: EdgeDraft, rest: "_Group | None", own: int
    ) -> Iterator[Way]:
        kind = _kind(edge)
        targets = [target for target in edge.targets if target in self.place]
        one_of = self._choices.group() if kind == "intent" and len(set(edge.targets)) > 1 else None
        for target in targets:
            made = own
            if one_of:
                made |= one_of.choice(target)
            if rest and kind in ("else", "cel"):
                made |= rest.choice(kind)
            yield place, self.place[target], made


class _Group:
    """Choices of which only one can be made: a bit each."""

    def __init__(self, choices: "_Choices") -> None:
        self._choices = choices
        self.bits: dict[str, int] = {}

    def choice(self, name: str) -> int:
        if name not in self.bits:
            self.bits[name] = self._choices.new_bit(self)
        return self.bits[name]


class _Choices:
    """All choices of a graph."""

    def __init__(self) -> None:
        self._groups: list[_Group] = []

    def group(self) -> _Group:
        return _Group(self)

    def new_bit(self, group: _Group) -> int:
        self._groups.append(group)
        return 1 << (len(self._groups) - 1)

    def against(self, decided: int) -> int:
        """The choices that `decided` rules out."""
        out = 0
        for bit in graph_order.bits(decided):
            out |= sum(self._groups[bit].bits.values()) & ~(1 << bit)
        return out


def _kind(edge: EdgeDraft) -> str:
    condition = edge.raw.get("condition")
    return edge_condition_kind(condition if isinstance(condition, str) else None, edge.targets)


def _has_else(edges: "list[EdgeDraft] | tuple[()]") -> bool:
    return any(_kind(edge) == "else" for edge in edges)
