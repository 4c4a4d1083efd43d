"""Who writes which key: parallel writers are warned of, unknown placeholders too.

Both need to know what comes before a node, so they are made only for a graph without cycles
that is not enormous. A placeholder is warned of only where no initial state could sensibly
hold it: an output of a node that does not come before, or a near miss of a key that is written.
"""

from collections.abc import Mapping
from typing import Final

from agentflow.contracts.state import ADDING_KEYS, APPENDING_KEYS, MERGING_KEYS
from agentflow.engine import graph_order
from agentflow.engine.nodes.metadata import OUTPUT_KEYS
from agentflow.engine.templates import MAX_LENGTH, SimpleTemplate, compile_template
from agentflow.engine.validation.draft import Draft, NodeDraft
from agentflow.engine.validation.findings import Findings, Path, show
from agentflow.engine.validation.graph import Graph, names
from agentflow.engine.validation.lineage import Lineage
from agentflow.engine.validation.texts import engine_of, templates_of

REDUCED: Final = frozenset((*ADDING_KEYS, *MERGING_KEYS, *APPENDING_KEYS))
WELL_KNOWN: Final = frozenset({"user_input", "outputs", "final_output", "intent"}) | REDUCED
MAX_PAIRS: Final = 20_000
MAX_NAMED: Final = 6
NEAR: Final = 0.85


def check_writers(draft: Draft, graph: Graph, findings: Findings) -> None:
    """Warn of keys with parallel writers and of placeholders nothing can fill."""
    rank = graph_order.ranks(graph.followers)
    if rank is None:
        return
    try:
        lineage = Lineage(draft, graph, rank)
    except graph_order.TooLarge:
        return
    writers = _writers(draft, lineage)
    known = (*WELL_KNOWN, *writers)
    budget = MAX_PAIRS
    for key, places in writers.items():
        found, budget = _parallel(lineage, places, budget)
        if found:
            _warn(key, [lineage.ids[place] for place in sorted(found)], draft, findings)
    for node in draft.by_id.values():
        _Placeholders(writers, known, lineage, findings).check(node)


def output_key(node: NodeDraft) -> str | None:
    """The key a node writes; None: none, or not known."""
    if node.kind == "input":
        return None
    key = node.metadata.get("output_key", OUTPUT_KEYS.get(node.kind or ""))
    return key if isinstance(key, str) else None


def _writers(draft: Draft, lineage: Lineage) -> dict[str, list[int]]:
    writers: dict[str, list[int]] = {}
    for place, node_id in enumerate(lineage.ids):
        key = output_key(draft.by_id[node_id])
        if key is not None:
            writers.setdefault(key, []).append(place)
    return writers


def _parallel(lineage: Lineage, places: list[int], budget: int) -> tuple[set[int], int]:
    """Some of the writers that may run side by side, and the pairs that may still be looked at."""
    found: set[int] = set()
    earlier = 0
    for place in places:
        for other in graph_order.bits(earlier & ~lineage.ancestors[place]):
            if budget <= 0 or len(found) >= MAX_NAMED:
                return found, budget
            budget -= 1
            if not lineage.excluded(other, place):
                found |= {other, place}
        earlier |= 1 << place
    return found, budget


def _warn(key: str, ids: list[str], draft: Draft, findings: Findings) -> None:
    if key in REDUCED:
        return
    last = draft.by_id[ids[-1]]
    holder = "output_key" in last.metadata
    path = last.path("metadata", "output_key") if holder else last.path()
    findings.add(
        "parallel_writers",
        f"{names(ids)} may run side by side and all write {show(key)}; "
        f"{show(ids[-1])} wins, as the last in plan order.",
        path,
        node_id=ids[-1],
    )


class _Placeholders:
    """Looks at the placeholders of one node after the other."""

    def __init__(
        self,
        writers: Mapping[str, list[int]],
        known: tuple[str, ...],
        lineage: Lineage,
        findings: Findings,
    ) -> None:
        self._writers = writers
        self._known = known
        self._lineage = lineage
        self._findings = findings

    def check(self, node: NodeDraft) -> None:
        """Warn of each placeholder that nothing can fill."""
        if node.id is None or engine_of(node) != "simple":
            return
        before = self._lineage.ancestors[self._lineage.place[node.id]]
        for text, path in templates_of(node):
            if "{" not in text or len(text) > MAX_LENGTH:
                continue
            template = compile_template(text)
            for name in template.placeholders if isinstance(template, SimpleTemplate) else ():
                first = name.partition(".")[0]
                if first not in WELL_KNOWN or first == "outputs":
                    self._check(name, before, node, path)

    def _check(self, name: str, before: int, node: NodeDraft, path: Path) -> None:
        first, _, rest = name.partition(".")
        hint = None
        if first == "outputs":
            reason = self._output(rest.partition(".")[0], before) if rest else None
        elif first in self._writers:
            reason = self._written(self._writers[first], before)
        else:
            near = len(first) > 3
            hint = self._findings.did_you_mean(first, self._known, NEAR) if near else None
            reason = "nothing writes it" if hint else None
        if reason:
            message = f"Nothing before this node fills {{{name[:80]}}}: {reason}."
            self._findings.add("unknown_placeholder", message, path, node_id=node.id, hint=hint)

    def _output(self, source: str, before: int) -> str | None:
        place = self._lineage.place.get(source)
        if place is None:
            return f"there is no node {show(source)}"
        return None if before >> place & 1 else f"{show(source)} does not come before it"

    def _written(self, places: list[int], before: int) -> str | None:
        if any(before >> place & 1 for place in places):
            return None
        return f"{names(self._lineage.ids[p] for p in places[:10])} writes it, but not before"
