"""Validation: parallel writers, and placeholders nothing fills."""

from typing import Any

import pytest

from agentflow.contracts.problem import Issue
from agentflow.engine.validation import lineage, validate_spec


def check(keys: dict[str, Any], edges: list[dict[str, Any]], code: str) -> list[Issue]:
    """Warnings of such a code; `keys`: node → output_key, or the node's own fields."""
    nodes = [
        {"id": node_id, **given}
        if isinstance(given, dict)
        else {"id": node_id, "type": "aggregator", "metadata": {"output_key": given}}
        for node_id, given in keys.items()
    ]
    checked = validate_spec({"start_node": next(iter(keys)), "nodes": nodes, "edges": edges})
    assert checked.errors == ()
    return [issue for issue in checked.warnings if issue.code == code]


def parallel(keys: dict[str, Any], *edges: tuple[str, Any, str | None]) -> list[str]:
    drawn = [
        {"from": source, "to": to, **({"condition": condition} if condition else {})}
        for source, to, condition in edges
    ]
    return [
        issue.message
        for issue in check({"s": {"type": "input"}, **keys}, drawn, "parallel_writers")
    ]


def test_parallel_writers_of_one_key_are_named_with_the_winner() -> None:
    found = parallel({"a": "k", "b": "k"}, ("s", ["a", "b"], None))
    assert len(found) == 1
    assert "'a', 'b' may run side by side and all write 'k'; 'b' wins" in found[0]


def test_default_output_keys_collide_as_well() -> None:
    two = {"type": "aggregator"}
    assert "final_output" in parallel({"a": two, "b": two}, ("s", ["a", "b"], None))[0]


def test_writers_after_one_another_are_no_trouble() -> None:
    assert parallel({"a": "k", "b": "k"}, ("s", "a", None), ("a", "b", None)) == []
    assert parallel({"a": "k", "b": "j"}, ("s", ["a", "b"], None)) == []


@pytest.mark.parametrize("key", ["tokens_used", "cost", "errors", "metadata", "execution_path"])
def test_keys_that_are_reduced_may_have_many_writers(key: str) -> None:
    assert parallel({"a": key, "b": key}, ("s", ["a", "b"], None)) == []


def test_targets_of_an_intent_exclude_each_other_with_all_that_follows() -> None:
    edges = (("s", ["a", "b"], "intent"), ("a", "a2", None), ("b", "b2", None))
    assert parallel({"a": "x", "b": "y", "a2": "k", "b2": "k"}, *edges) == []
    assert parallel({"a": "x", "b": "y", "a2": "k", "b2": "k"}, ("s", ["a", "b"], None), *edges[1:])


def test_an_else_excludes_the_conditions_beside_it() -> None:
    assert parallel({"a": "k", "b": "k"}, ("s", "a", "x == 1"), ("s", "b", "else")) == []
    assert parallel({"a": "k", "b": "k"}, ("s", "a", "x == 1"), ("s", "b", "x == 2"))
    assert parallel({"a": "k", "b": "k"}, ("s", "a", None), ("s", "b", "else"))


def test_a_way_around_makes_them_parallel_again() -> None:
    edges = (("s", ["a", "b"], "intent"), ("s", "c", None), ("c", "b", None))
    assert parallel({"a": "k", "b": "k", "c": "x"}, *edges)


def test_a_node_that_every_way_to_excludes_another_is_seen_to() -> None:
    edges = (
        ("s", ["a", "b"], "intent"),
        ("a", "ask", "x == 1"),
        ("a", "done", "else"),
        ("b", "ask", None),
    )
    assert parallel({"a": "x", "b": "y", "ask": "k", "done": "k"}, *edges) == []


def test_a_goto_excludes_the_nodes_own_edges() -> None:
    start = {"type": "aggregator", "on_error": {"goto": "b"}, "metadata": {"output_key": "z"}}
    assert parallel({"n": start, "a": "k", "b": "k"}, ("s", "n", None), ("n", "a", None)) == []


def test_a_fan_of_many_writers_is_told_in_one_warning() -> None:
    keys = {f"n{n}": "k" for n in range(300)}
    found = parallel(keys, ("s", list(keys), None))
    assert len(found) == 1
    assert len(found[0]) < 300


def test_a_graph_too_large_for_ancestors_is_checked_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = {"a": "k", "b": "k"}
    assert parallel(keys, ("s", ["a", "b"], None))
    monkeypatch.setattr(lineage, "MAX_ANCESTOR_BYTES", -1)
    assert parallel(keys, ("s", ["a", "b"], None)) == []


def placeholders(template: str, engine: str = "simple") -> list[Issue]:
    metadata = {
        "strategy": "template",
        "template": template,
        "template_engine": engine,
        "output_key": "t",
    }
    keys = {
        "s": {"type": "input"},
        "before": "summary",
        "t": {"type": "aggregator", "metadata": metadata},
        "beside": "aside",
        "after": "later",
    }
    edges: list[dict[str, Any]] = [
        {"from": "s", "to": ["before", "beside"]},
        {"from": "before", "to": "t"},
        {"from": "t", "to": "after"},
    ]
    return check(keys, edges, "unknown_placeholder")


@pytest.mark.parametrize(
    "template",
    [
        "{summary} {user_input}",
        "{outputs.before.x}",
        "{outputs}",
        "{customer.name}",
        "{tokens_used}",
        "{x}",
        '{"summry": 1}',
        "{{sumary}}",
        "{ sumary }",
        "{order_number}",
    ],
)
def test_placeholders_that_something_may_fill_are_fine(template: str) -> None:
    assert placeholders(template) == []


@pytest.mark.parametrize(
    ("template", "why", "hint"),
    [
        ("{sumary}", "nothing writes it", "'summary'"),
        ("{user_inptu}", "nothing writes it", "'user_input'"),
        ("{aside}", "'beside' writes it, but not before", ""),
        ("{later}", "'after' writes it", ""),
        ("{t}", "'t' writes it", ""),
        ("{outputs.gone}", "no node 'gone'", ""),
        ("{outputs.beside.x}", "'beside' does not come before", ""),
    ],
)
def test_placeholders_that_nothing_fills_are_warned_of(template: str, why: str, hint: str) -> None:
    found = placeholders(template)
    assert [(i.pointer, i.node_id) for i in found] == [("/nodes/2/metadata/template", "t")]
    assert why in found[0].message
    assert hint in (found[0].hint or "")


def test_jinja_templates_say_it_themselves_when_they_run() -> None:
    assert placeholders("{{ sumary }}", "jinja") == []
