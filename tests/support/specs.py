"""Random workflows as small readable JSON, and nodes whose results betray what they saw.

A node here does what its metadata says: `writes` are state keys it sets, `fails` makes it fail.
Its output names itself and a fingerprint of everything it was shown, so that two runs with the
same final state have shown the same to every node. Strategies shrink towards fewer nodes, plain
edges and no settings.
"""

import hashlib
import itertools
import json
from typing import Any

from hypothesis import strategies as st

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node

Json = dict[str, Any]

IDS = "abcdefgh"
SAFE_CONDITIONS = (
    "x == 1",
    "x == 2",
    "intent == 'c'",
    "x != null && x > 1",
    "tokens_used != null && tokens_used > 4",
    "errors != null && size(errors) > 0",
)
BRITTLE_CONDITIONS = ("x > 0", "outputs.b.of == 'b'")
"""They cannot be decided on every state: an execution may fail with condition_error."""

_WRITES: dict[str, Any] = {
    "x": st.integers(0, 2),
    "intent": st.sampled_from(["c", "d", "e", "zz", ""]),
    "tokens_used": st.integers(0, 5),
    "cost": st.sampled_from([0.5, None]),
    "metadata": st.dictionaries(st.sampled_from("pq"), st.integers(0, 2), max_size=2),
    "errors": st.just([{"code": "note"}]),
    "final_output": st.just("written"),
    "text_result": st.just("text"),
}


@st.composite
def workflows(draw: st.DrawFn, *, brittle: bool = True, any_joins: bool = True) -> Json:
    """A workflow of one to eight nodes whose edges lead from earlier to later letters."""
    ids = IDS[: draw(st.integers(1, len(IDS)))]
    conditions = [*SAFE_CONDITIONS, *(BRITTLE_CONDITIONS if brittle else ())]
    nodes = [draw(_nodes(ids, place, conditions, any_joins)) for place in range(len(ids))]
    edges: list[Json] = []
    for place in range(1, len(ids)):
        edges.extend(draw(_ways_in(ids, place, conditions)))
    for place in range(len(ids) - 2):
        edges.extend(draw(_routes(ids, place)))
    spec: Json = {"start_node": "a", "nodes": nodes, "edges": edges}
    if draw(_rarely(12)):
        spec["budget"] = {"tokens": draw(st.integers(1, 12))}
    return spec


def initial_states() -> st.SearchStrategy[Json]:
    """A few well-known keys, or none."""
    return st.fixed_dictionaries(
        {},
        optional={
            "user_input": st.just("hello"),
            "x": st.integers(0, 2),
            "intent": st.sampled_from(["c", "zz"]),
            "tokens_used": st.integers(0, 3),
            "metadata": st.just({"p": 9}),
            "execution_path": st.just(["before"]),
            "outputs": st.just({"old": 1}),
        },
    )


def orders() -> st.SearchStrategy[list[int]]:
    """Which of the waiting things happens next, time and again; [0] is plan order."""
    return st.lists(st.integers(0, 7), min_size=1, max_size=10)


def behave(node: Node, state: Json) -> NodeResult:
    """Run a node of these specs on what it sees; raises NodeFailed when it is meant to fail."""
    fingerprint = hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:8]
    if node.metadata.get("fails"):
        raise NodeFailed("told_to_fail", f"{node.id} saw {fingerprint}")
    return NodeResult(
        output={"of": node.id, "saw": fingerprint},
        output_key=node.metadata.get("output_key"),
        writes=node.metadata.get("writes", {}),
    )


def chain(length: int) -> Json:
    """n0 → n1 → …"""
    ids = [f"n{i}" for i in range(length)]
    edges = [{"from": a, "to": b} for a, b in itertools.pairwise(ids)]
    return {"start_node": ids[0], "nodes": [llm(i) for i in ids], "edges": edges}


def fan(width: int) -> Json:
    """first → m0, m1, … → last"""
    middle = [f"m{i}" for i in range(width)]
    edges = [{"from": "first", "to": middle}, *({"from": m, "to": "last"} for m in middle)]
    return {
        "start_node": "first",
        "nodes": [llm(i) for i in ("first", *middle, "last")],
        "edges": edges,
    }


def llm(node_id: str, **settings: Any) -> Json:
    """A node that a worker runs. Unknown settings go into its metadata."""
    known = ("on_error", "join", "when", "pool", "timeout_seconds")
    node: Json = {"id": node_id, "type": settings.pop("type", "llm")}
    metadata = {key: settings.pop(key) for key in [*settings] if key not in known}
    return {**node, **settings, **({"metadata": metadata} if metadata else {})}


def _rarely(one_in: int) -> st.SearchStrategy[bool]:
    return st.integers(0, one_in - 1).map(lambda number: number == one_in - 1)


@st.composite
def _nodes(draw: st.DrawFn, ids: str, place: int, conditions: list[str], any_joins: bool) -> Json:
    metadata: Json = {}
    writes = draw(st.fixed_dictionaries({}, optional=_WRITES)) if draw(st.booleans()) else {}
    if writes:
        metadata["writes"] = writes
    if draw(_rarely(4)):
        metadata["output_key"] = draw(st.sampled_from(["text_result", "y", "outputs"]))
    settings: Json = {}
    later = ids[place + 1 :]
    if draw(_rarely(5)):
        metadata["fails"] = True
        handlers: list[Any] = ["continue", {"default": {"of": "default"}}]
        handlers += [{"goto": target} for target in [*later, "END"]]
        settings["on_error"] = draw(st.sampled_from([*handlers, "fail"]))
    elif later and draw(_rarely(10)):
        settings["on_error"] = {"goto": draw(st.sampled_from(later))}
    if draw(_rarely(8)):
        settings["when"] = draw(st.sampled_from(conditions))
    if any_joins and draw(_rarely(8)):
        settings["join"] = "any"
    kind = draw(st.sampled_from(["llm", "llm", "input"]))
    return llm(ids[place], type=kind, **settings, **metadata)


@st.composite
def _ways_in(draw: st.DrawFn, ids: str, place: int, conditions: list[str]) -> list[Json]:
    """Edges into a node: mostly one, sometimes several, rarely none (an orphan)."""
    sources = draw(st.lists(st.sampled_from(ids[:place]), min_size=1, max_size=3, unique=True))
    if draw(_rarely(20)):
        return []
    ways = []
    for source in sources:
        edge: Json = {"from": source, "to": ids[place]}
        if draw(_rarely(4)):
            edge["condition"] = draw(st.sampled_from([*conditions, "else"]))
        ways.append(edge)
    return ways


@st.composite
def _routes(draw: st.DrawFn, ids: str, place: int) -> list[Json]:
    """Sometimes one edge to several targets: an intent, a fan-out, or a shared condition."""
    if not draw(_rarely(4)):
        return []
    targets = draw(
        st.lists(st.sampled_from([*ids[place + 1 :], "END"]), min_size=2, max_size=3, unique=True)
    )
    edge: Json = {"from": ids[place], "to": targets}
    condition = draw(st.sampled_from(["intent", "", "x == 1", "else"]))
    if condition:
        edge["condition"] = condition
    return [edge]
