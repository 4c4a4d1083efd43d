"""What a node must see, computed the slow way from the text of the design alone.

An oracle for the fold: no bitmasks, no ledger, nothing of the engine. For workflows without
`any` joins.
"""

from collections.abc import Mapping
from typing import Any

from tests.support.specs import Json

Ran = Mapping[str, tuple[Json, tuple[Any, ...]]]
"""For each node that ran: its writes, and its output if it has one."""


def plan_order(spec: Json) -> list[str]:
    """Topological rank, then order in the spec."""
    ids = [node["id"] for node in spec["nodes"]]
    rank = dict.fromkeys(ids, 0)
    for _ in ids:
        for source, target in _edges(spec):
            rank[target] = max(rank[target], rank[source] + 1)
    return sorted(ids, key=lambda node_id: (rank[node_id], ids.index(node_id)))


def ancestors(spec: Json, node_id: str) -> set[str]:
    """Every node from which a way leads to this one."""
    found: set[str] = set()
    while True:
        more = {s for s, t in _edges(spec) if t in found | {node_id}} - found
        if not more:
            return found
        found |= more


def state_of(spec: Json, initial: Json, ran: Ran, among: set[str]) -> Json:
    """The fold of the initial state and of those nodes that ran, in plan order."""
    state = {k: _fresh(v) for k, v in initial.items()}
    for node_id in plan_order(spec):
        if node_id not in among or node_id not in ran:
            continue
        writes, output = ran[node_id]
        state.setdefault("execution_path", []).append(node_id)
        outputs = state.setdefault("outputs", {})
        if output:
            outputs[node_id] = output[0]
        for key, value in writes.items():
            if key != "outputs":
                state[key] = _reduced(key, state, value)
    if not state.get("outputs", True) and "outputs" not in initial:
        del state["outputs"]
    return state


def _reduced(key: str, state: Json, value: Any) -> Any:
    before = state.get(key)
    if key in ("tokens_used", "cost"):
        return before if value is None else (before or 0) + value
    if key == "metadata":
        return {**(before or {}), **value}
    if key in ("errors", "execution_path"):
        return [*(before or []), *value]
    return value


def _edges(spec: Json) -> list[tuple[str, str]]:
    edges = []
    for edge in spec["edges"]:
        targets = [edge["to"]] if isinstance(edge["to"], str) else edge["to"]
        edges += [(edge["from"], target) for target in targets]
    for node in spec["nodes"]:
        on_error = node.get("on_error")
        if isinstance(on_error, dict) and "goto" in on_error:
            edges.append((node["id"], on_error["goto"]))
    return [edge for edge in edges if edge[1] != "END"]


def _fresh(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list) else value
