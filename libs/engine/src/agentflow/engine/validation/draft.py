"""A draft of the graph: what can be read of a spec, even one whose shape is wrong.

Checks work on the draft, so that one misspelt key hides no other error. Each part knows its
place in the document; anything unreadable is simply absent (its fault has been told already).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from agentflow.contracts.spec import END, NODE_TYPE_ALIASES
from agentflow.engine.validation.findings import Path

EMPTY: Mapping[str, Any] = {}


@dataclass(slots=True)
class NodeDraft:
    """A node as written. `id` and `kind` are None where they cannot be read."""

    place: int
    raw: Mapping[str, Any]
    id: str | None
    kind: str | None
    metadata: Mapping[str, Any]
    goto: tuple[str, Path] | None = None
    """The target of `on_error: {goto}` and where it stands."""

    def path(self, *steps: str | int) -> Path:
        """The path to something inside the node."""
        return ("nodes", self.place, *steps)

    def setting(self, *names: str) -> tuple[Any, Path] | None:
        """A common setting and where it stands: on the node, else in its metadata."""
        for holder, base in ((self.raw, self.path()), (self.metadata, self.path("metadata"))):
            for name in names:
                if holder.get(name) is not None:
                    return holder[name], (*base, name)
        return None


@dataclass(slots=True)
class EdgeDraft:
    """An edge (or queue) as written; targets that are no texts are left out."""

    place: int
    raw: Mapping[str, Any]
    source: str | None
    targets: tuple[str, ...]
    single: bool
    part: str = "edges"

    def path(self, *steps: str | int) -> Path:
        return (self.part, self.place, *steps)

    def target_path(self, number: int) -> Path:
        return self.path("to") if self.single else self.path("to", number)


@dataclass(slots=True)
class Draft:
    """All readable parts of a document."""

    raw: Mapping[str, Any]
    nodes: list[NodeDraft] = field(default_factory=list)
    edges: list[EdgeDraft] = field(default_factory=list)
    queues: list[EdgeDraft] = field(default_factory=list)
    sources: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    by_id: dict[str, NodeDraft] = field(default_factory=dict)
    """The first node of each id."""

    @property
    def start(self) -> str | None:
        value = self.raw.get("start_node")
        return value if isinstance(value, str) else None


def draft_of(document: Any) -> Draft:
    """Whatever can be read of the document."""
    raw = document if isinstance(document, Mapping) else EMPTY
    draft = Draft(raw)
    for place, node in _objects(raw.get("nodes")):
        draft.nodes.append(_node(place, node))
    draft.edges = [_edge(place, edge, "edges") for place, edge in _objects(raw.get("edges"))]
    draft.queues = [_edge(place, edge, "queues") for place, edge in _objects(raw.get("queues"))]
    draft.sources = list(_objects(raw.get("sources")))
    for drafted in draft.nodes:
        if drafted.id is not None:
            draft.by_id.setdefault(drafted.id, drafted)
    return draft


def _objects(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    if isinstance(value, list | tuple):
        for place, item in enumerate(value):
            if isinstance(item, Mapping):
                yield place, item


def _node(place: int, raw: Mapping[str, Any]) -> NodeDraft:
    node_id, type_, metadata = raw.get("id"), raw.get("type"), raw.get("metadata")
    node = NodeDraft(
        place=place,
        raw=raw,
        id=node_id if isinstance(node_id, str) and node_id else None,
        kind=NODE_TYPE_ALIASES.get(type_, type_) if isinstance(type_, str) and type_ else None,
        metadata=metadata if isinstance(metadata, Mapping) else EMPTY,
    )
    found = node.setting("on_error")
    if found and isinstance(found[0], Mapping) and isinstance(found[0].get("goto"), str):
        node.goto = found[0]["goto"], (*found[1], "goto")
    return node


def _edge(place: int, raw: Mapping[str, Any], part: str) -> EdgeDraft:
    source, to = raw.get("from", raw.get("source")), raw.get("to")
    single = isinstance(to, str)
    targets: list[Any] = [to] if single else list(to) if isinstance(to, list | tuple) else []
    return EdgeDraft(
        place=place,
        raw=raw,
        source=source if isinstance(source, str) and source else None,
        targets=tuple(target if isinstance(target, str) else END for target in targets),
        single=single,
        part=part,
    )
