"""Random workflows as small readable JSON, and nodes whose results betray what they saw.

A node here does what its metadata says: `writes` are state keys it sets, `fails` makes it fail.
Its output names itself and a fingerprint of everything it was shown, so that two runs with the
same final state have shown the same to every node. Strategies shrink towards fewer nodes, plain
edges and no settings.
"""

import hashlib
import itertools
import json
from functools import cache
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
    """A workflow of one to eight nodes whose edges lead from earlier to later letters.

    Each node is drawn together with its ways in, so that shrinking can take it out whole.
    """
    conditions = SAFE_CONDITIONS + (BRITTLE_CONDITIONS if brittle else ())
    nodes: list[Json] = []
    ways: dict[tuple[str, str], list[str]] = {}
    while not nodes or (len(nodes) < len(IDS) and draw(_mostly(25))):
        nodes.append(_node(draw, IDS[len(nodes)], conditions, any_joins))
        if len(nodes) > 1:
            _ways_in(draw, nodes, ways, conditions)
    spec: Json = {"start_node": "a", "nodes": nodes, "edges": [_edge(*way) for way in ways.items()]}
    if draw(_rarely(12)):
        spec["budget"] = {"tokens": draw(_upto(1, 12))}
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


# Strategies are built once: building them costs more than drawing from them.


@cache
def _upto(least: int, most: int) -> st.SearchStrategy[int]:
    return st.integers(least, most)


@cache
def _rarely(one_in: int) -> st.SearchStrategy[bool]:
    return st.sampled_from([False] * (one_in - 1) + [True])


@cache
def _mostly(but_one_in: int) -> st.SearchStrategy[bool]:
    return st.sampled_from([False] + [True] * (but_one_in - 1))


@cache
def _one_of(*choices: str) -> st.SearchStrategy[str]:
    return st.sampled_from(choices)


@cache
def _steps_back() -> st.SearchStrategy[list[int]]:
    return st.lists(_upto(0, len(IDS) - 2), min_size=1, max_size=3, unique=True)


@cache
def _some_writes() -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries({}, optional=_WRITES)


def _node(draw: st.DrawFn, node_id: str, conditions: tuple[str, ...], any_joins: bool) -> Json:
    metadata: Json = {}
    writes = draw(_some_writes()) if draw(_rarely(2)) else {}
    if writes:
        metadata["writes"] = writes
    if draw(_rarely(4)):
        metadata["output_key"] = draw(_one_of("text_result", "y", "outputs"))
    settings: Json = {}
    if draw(_rarely(5)):
        metadata["fails"] = True
        how = draw(_one_of("continue", "default", "END", "continue", "default", "fail"))
        answers: Json = {"default": {"default": {"of": "default"}}, "END": {"goto": "END"}}
        settings["on_error"] = answers.get(how, how)
    if draw(_rarely(8)):
        settings["when"] = draw(_one_of(*conditions))
    if any_joins and draw(_rarely(8)):
        settings["join"] = "any"
    return llm(node_id, type=draw(_one_of("llm", "input")), **settings, **metadata)


def _ways_in(
    draw: st.DrawFn,
    nodes: list[Json],
    ways: dict[tuple[str, str], list[str]],
    conditions: tuple[str, ...],
) -> None:
    """Ways into the last node: mostly one, sometimes several, rarely none (an orphan).

    Ways from one node under one condition become one edge with several targets.
    """
    if draw(_rarely(20)):
        return
    target = nodes[-1]["id"]
    for steps in draw(_steps_back()):
        source = nodes[max(0, len(nodes) - 2 - steps)]
        how = ""
        if draw(_rarely(3)):
            how = draw(_one_of("intent", "else", "goto", "END", *conditions))
        if how == "goto":
            source["on_error"] = {"goto": target}
            continue
        targets = ways.setdefault((source["id"], "" if how == "END" else how), [])
        targets += [way for way in (target, how) if way in (target, "END") and way not in targets]


def _edge(way: tuple[str, str], targets: list[str]) -> Json:
    source, condition = way
    edge: Json = {"from": source, "to": targets if len(targets) > 1 else targets[0]}
    return {**edge, "condition": condition} if condition else edge
