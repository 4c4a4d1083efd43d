"""Validation: the graph. Ids, ends of edges, start, cycles, orphans."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.problem import Issue
from agentflow.engine.validation import validate_spec
from agentflow.engine.validation.knots import knots


def check(
    ids: str, ways: list[tuple[str, Any]], start: Any = None, **more: Any
) -> dict[str, list[Issue]]:
    """The issues by code, of a spec with such one-letter nodes and edges."""
    nodes = [{"id": node_id, "type": "input"} for node_id in ids]
    document = {
        "start_node": start or ids[0],
        "nodes": nodes,
        "edges": [{"from": source, "to": to} for source, to in ways],
        **more,
    }
    found: dict[str, list[Issue]] = {}
    checked = validate_spec(document)
    for issue in (*checked.errors, *checked.warnings):
        found.setdefault(issue.code, []).append(issue)
    return found


def test_a_duplicate_id_is_told_at_the_second() -> None:
    found = check("aba", [("a", "b")])
    assert [issue.pointer for issue in found["duplicate_id"]] == ["/nodes/2/id"]


def test_duplicate_queues_and_sources_are_told() -> None:
    queue = {"id": "q", "from": "a", "to": "a"}
    source = {"id": "s", "kind": "api", "config": {"base_url": "https://x"}}
    found = check("a", [], queues=[queue, queue], sources=[source, source])
    assert [issue.pointer for issue in found["duplicate_id"]] == ["/queues/1/id", "/sources/1/id"]


def test_a_missing_start_node_suggests_the_nearest() -> None:
    issue = check("ab", [("a", "b")], start="bb")["missing_start_node"][0]
    assert (issue.pointer, "'b'" in (issue.hint or "")) == ("/start_node", True)
    document = {"nodes": [{"id": "a", "type": "input"}]}
    codes = [issue.code for issue in validate_spec(document).errors]
    assert sorted(codes) == ["missing_field", "missing_start_node"]


def test_the_ends_of_edges_have_to_be_nodes() -> None:
    found = check("ab", [("a", ["b", "x"]), ("y", "b"), ("a", "END")])
    assert [i.pointer for i in found["unknown_edge_target"]] == ["/edges/0/to/1"]
    assert found["unknown_edge_target"][0].node_id == "a"
    assert [i.pointer for i in found["unknown_edge_source"]] == ["/edges/1/from"]


def test_queues_have_to_be_there_and_lead_somewhere() -> None:
    found = check(
        "ab",
        [],
        edges=[{"from": "a", "to": "b", "queue": "q1"}],
        queues=[{"id": "q", "from": "x", "to": ["b", "y"]}],
    )
    assert [i.pointer for i in found["unknown_queue"]] == ["/edges/0/queue"]
    assert "'q'" in (found["unknown_queue"][0].hint or "")
    pointers = [i.pointer for i in found["unknown_queue_endpoint"]]
    assert pointers == ["/queues/0/from", "/queues/0/to/1"]


def test_a_goto_has_to_lead_to_a_node() -> None:
    nodes = [
        {"id": "a", "type": "input", "on_error": {"goto": "handlr"}},
        {"id": "b", "type": "input", "metadata": {"on_error": {"goto": "gone"}}},
        {"id": "handler", "type": "input"},
    ]
    found = check("a", [("a", ["b", "handler"])], nodes=nodes)["unknown_goto"]
    assert [i.pointer for i in found] == [
        "/nodes/0/on_error/goto",
        "/nodes/1/metadata/on_error/goto",
    ]
    assert "'handler'" in (found[0].hint or "")
    assert found[0].node_id == "a"


def test_a_cycle_names_its_edges_and_nothing_beside_it() -> None:
    found = check("abcd", [("a", "b"), ("b", ["c", "d"]), ("c", "b")])["cycle"]
    assert len(found) == 1
    assert found[0].message == "These edges form a cycle: 'b' → 'c', 'c' → 'b'."
    assert found[0].pointer == "/edges/2/to"


def test_every_knot_is_told() -> None:
    edges: list[tuple[str, Any]] = [
        ("a", ["b", "d", "f"]),
        ("b", "c"),
        ("c", "b"),
        ("d", "e"),
        ("e", "d"),
        ("f", "f"),
    ]
    assert len(check("abcdef", edges)["cycle"]) == 3


def test_a_goto_can_close_a_cycle() -> None:
    nodes = [{"id": "a", "type": "input"}, {"id": "b", "type": "input", "on_error": {"goto": "a"}}]
    issue = check("ab", [("a", "b")], nodes=nodes)["cycle"][0]
    assert issue.pointer == "/nodes/1/on_error/goto"


def test_a_cycle_of_many_nodes_is_shortened() -> None:
    ids = [f"n{n}" for n in range(100)]
    nodes = [{"id": node_id, "type": "input"} for node_id in ids]
    edges = [{"from": a, "to": b} for a, b in zip(ids, [*ids[1:], ids[0]], strict=True)]
    issue = check("a", [], start="n0", nodes=nodes, edges=edges)["cycle"][0]
    assert "and 80 more" in issue.message


def test_orphans_are_told_and_so_is_what_hangs_on_them() -> None:
    found = check("abcd", [("a", "b"), ("c", "d")])["orphaned_node"]
    assert [issue.node_id for issue in found] == ["c", "d"]


def test_a_node_reached_by_goto_is_no_orphan() -> None:
    nodes = [{"id": "a", "type": "input", "on_error": {"goto": "b"}}, {"id": "b", "type": "input"}]
    assert check("ab", [], nodes=nodes) == {}


def test_a_long_chain_is_no_danger() -> None:
    ids = [f"n{n}" for n in range(5_000)]
    document = {
        "start_node": "n0",
        "nodes": [{"id": node_id, "type": "input"} for node_id in ids],
        "edges": [{"from": a, "to": b} for a, b in pairwise(ids)],
    }
    assert validate_spec(document).valid
    document["edges"].append({"from": ids[-1], "to": ids[0]})  # type: ignore[attr-defined] # a list
    assert [issue.code for issue in validate_spec(document).errors] == ["cycle"]


@pytest.mark.parametrize("ids", ["ab", "abc"])
def test_the_same_edge_twice_is_no_cycle(ids: str) -> None:
    assert "cycle" not in check(ids, [("a", "b"), ("a", "b"), ("a", list(ids[1:]))])


@given(st.lists(st.lists(st.integers(0, 7), max_size=4), min_size=8, max_size=8))
def test_knots_are_the_groups_of_nodes_that_reach_each_other(followers: list[list[int]]) -> None:
    reach = [{*targets} for targets in followers]
    for _ in range(8):
        for node in range(8):
            reach[node] |= {far for near in reach[node] for far in reach[near]}
    expected = {
        frozenset(m for m in range(8) if m in reach[n] and n in reach[m])
        for n in range(8)
        if n in reach[n]
    }
    assert {frozenset(knot) for knot in knots(followers)} == expected
