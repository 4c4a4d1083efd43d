"""The graph of a draft: ids, ends of edges, start, cycles, nodes nobody reaches.

Linear in nodes and edges and never recursive. `on_error: {goto}` counts as an edge. Each
circle of nodes is told once, by the edges of one way around it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from agentflow.contracts.spec import END
from agentflow.engine.validation.draft import Draft, EdgeDraft
from agentflow.engine.validation.findings import Findings, Path, show
from agentflow.engine.validation.knots import knots

MAX_CYCLES: Final = 20
MAX_NAMED: Final = 20


class Graph:
    """The readable nodes by number, with the ways between them."""

    def __init__(self, draft: Draft) -> None:
        self.ids = list(draft.by_id)
        self.number = {node_id: number for number, node_id in enumerate(self.ids)}
        self.followers: list[list[int]] = [[] for _ in self.ids]
        self.ways: dict[tuple[int, int], Path] = {}
        for edge in draft.edges:
            for place, target in enumerate(edge.targets):
                self._join(edge.source, target, edge.target_path(place))
        for node in draft.nodes:
            if node.id is not None and (goto := node.goto):
                self._join(node.id, *goto)

    def _join(self, source: str | None, target: str, path: Path) -> None:
        start = self.number.get(source) if source is not None else None
        end = self.number.get(target)
        if start is not None and end is not None:
            self.followers[start].append(end)
            self.ways.setdefault((start, end), path)

    def reached_from(self, node_id: str) -> set[int]:
        """The nodes on any way from `node_id`, itself too."""
        waiting = [self.number[node_id]]
        seen = set(waiting)
        while waiting:
            for target in self.followers[waiting.pop()]:
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return seen


def check_graph(draft: Draft, findings: Findings) -> Graph:
    """Tell what is wrong with the graph, and give it for further checks."""
    _check_ids(draft, findings)
    _check_ends(draft, findings)
    graph = Graph(draft)
    for component in knots(graph.followers)[:MAX_CYCLES]:
        _tell_cycle(graph, component, findings)
    start = draft.start
    if start is not None and start not in draft.by_id:
        hint = findings.choices(start, draft.by_id)
        message = f"The start node {show(start)} is not among the nodes."
        findings.add("missing_start_node", message, ("start_node",), hint=hint)
    elif start is None:
        findings.add("missing_start_node", "The workflow has no start node.", ("start_node",))
    else:
        _check_orphans(draft, graph, start, findings)
    return graph


def _check_ids(draft: Draft, findings: Findings) -> None:
    for node in draft.nodes:
        if node.id is not None and draft.by_id[node.id] is not node:
            message = f"Two nodes have the id {show(node.id)}."
            findings.add("duplicate_id", message, node.path("id"), node_id=node.id)
    numbered: tuple[tuple[str, list[tuple[int, Mapping[str, Any]]]], ...] = (
        ("queues", [(queue.place, queue.raw) for queue in draft.queues]),
        ("sources", draft.sources),
    )
    for part, items in numbered:
        seen: set[Any] = set()
        for place, raw in items:
            item_id = raw.get("id")
            if not isinstance(item_id, str):
                continue
            if item_id in seen:
                message = f"Two {part} have the id {show(item_id)}."
                findings.add("duplicate_id", message, (part, place, "id"))
            seen.add(item_id)


def _check_ends(draft: Draft, findings: Findings) -> None:
    queues = {queue.raw.get("id") for queue in draft.queues if _is_text(queue.raw.get("id"))}
    for edge in draft.edges:
        _check_edge(edge, draft, findings, "unknown_edge_source", "unknown_edge_target")
        queue = edge.raw.get("queue")
        if _is_text(queue) and queue not in queues:
            message = f"There is no queue {show(queue)}."
            hint = findings.choices(queue, [str(known) for known in queues])
            findings.add("unknown_queue", message, edge.path("queue"), hint=hint)
    for drafted in draft.queues:
        _check_edge(drafted, draft, findings, "unknown_queue_endpoint", "unknown_queue_endpoint")
    for node in draft.nodes:
        goto = node.goto
        if goto and goto[0] not in draft.by_id and goto[0] != END:
            message = f"On an error node {show(node.id)} goes to {show(goto[0])}, which is no node."
            near = findings.did_you_mean(goto[0], draft.by_id)
            findings.add("unknown_goto", message, goto[1], node_id=node.id, hint=near)


def _check_edge(
    edge: EdgeDraft, draft: Draft, findings: Findings, source_code: str, target_code: str
) -> None:
    what = "edge" if edge.part == "edges" else "queue"
    if edge.source is not None and edge.source not in draft.by_id:
        message = f"The {what} comes from {show(edge.source)}, which is no node."
        hint = findings.did_you_mean(edge.source, draft.by_id)
        path = edge.path("from" if "from" in edge.raw else "source")
        findings.add(source_code, message, path, hint=hint)
    for number, target in enumerate(edge.targets):
        if target not in draft.by_id and target != END:
            message = f"The {what} leads to {show(target)}, which is no node."
            hint = findings.did_you_mean(target, draft.by_id)
            node_id = edge.source if edge.source in draft.by_id else None
            path = edge.target_path(number)
            findings.add(target_code, message, path, node_id=node_id, hint=hint)


def _check_orphans(draft: Draft, graph: Graph, start: str, findings: Findings) -> None:
    reached = graph.reached_from(start)
    if len(reached) == len(graph.ids):
        return
    for number, node_id in enumerate(graph.ids):
        if number not in reached:
            message = f"No way leads from the start node to {show(node_id)}."
            path = draft.by_id[node_id].path()
            findings.add("orphaned_node", message, path, node_id=node_id)


def _tell_cycle(graph: Graph, component: set[int], findings: Findings) -> None:
    around = _shortest_way_around(graph.followers, component)
    pairs = list(zip(around, [*around[1:], around[0]], strict=True))
    shown = [f"{show(graph.ids[a])} → {show(graph.ids[b])}" for a, b in pairs[:MAX_NAMED]]
    more = f" and {len(pairs) - MAX_NAMED} more" if len(pairs) > MAX_NAMED else ""
    findings.add(
        "cycle",
        f"These edges form a cycle: {', '.join(shown)}{more}.",
        graph.ways[pairs[-1]],
        node_id=graph.ids[around[0]],
    )


def _shortest_way_around(followers: list[list[int]], component: set[int]) -> list[int]:
    """A shortest circle through the first node of a component, as node numbers in order."""
    first = min(component)
    came_from: dict[int, int] = {}
    waiting = [first]
    for node in waiting:
        for target in followers[node]:
            if target == first:
                way = [node]
                while way[-1] != first:
                    way.append(came_from[way[-1]])
                return way[::-1]
            if target in component and target not in came_from:
                came_from[target] = node
                waiting.append(target)
    return [first]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def names(ids: Iterable[str]) -> str:
    """A few ids as they stand in a message."""
    listed = list(ids)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(show(node_id) for node_id in listed[:5]) + more
