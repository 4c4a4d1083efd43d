"""The spec as users write it: aliases, lifted settings, unknown keys."""

import json
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from agentflow.contracts.spec import (
    NODE_SETTINGS,
    DefaultOnError,
    Edge,
    GotoOnError,
    Node,
    Queue,
    RetryPolicy,
    Source,
    WorkflowSpec,
)
from tests.support.messages import nodes, sources

LIFTED: dict[str, Any] = {
    "timeout_seconds": 5.0,
    "retry": {"max_attempts": 7},
    "on_error": "continue",
    "join": "any",
    "when": "size(user_input) > 0",
    "pool": "gpu",
    "source_id": "gpt",
}


def node(**fields: Any) -> Node:
    return Node.model_validate({"id": "n", "type": "llm", **fields})


def spec(**fields: Any) -> WorkflowSpec:
    base = {"start_node": "a", "nodes": [{"id": "a", "type": "input"}]}
    return WorkflowSpec.model_validate({**base, **fields})


def test_the_lifted_settings_are_the_ones_the_node_has() -> None:
    assert set(LIFTED) == set(NODE_SETTINGS) <= set(Node.model_fields)


@pytest.mark.parametrize("key", NODE_SETTINGS)
def test_a_setting_may_stand_inside_metadata(key: str) -> None:
    inside = node(metadata={key: LIFTED[key], "other": 1})
    assert getattr(inside, key) == getattr(node(**{key: LIFTED[key]}), key)
    assert inside.metadata == {key: LIFTED[key], "other": 1}


@pytest.mark.parametrize("key", NODE_SETTINGS)
def test_the_nodes_own_setting_wins_over_its_metadata(key: str) -> None:
    other: dict[str, Any] = {
        "timeout_seconds": 9.0,
        "retry": {"max_attempts": 2},
        "on_error": "fail",
        "join": "all_active",
        "when": "true",
        "pool": "cpu",
        "source_id": "claude",
    }
    both = node(**{key: LIFTED[key]}, metadata={key: other[key]})
    assert getattr(both, key) == getattr(node(**{key: LIFTED[key]}), key)


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "gpt"},
        {"source_id": "gpt"},
        {"metadata": {"source": "gpt"}},
        {"metadata": {"source_id": "gpt"}},
        {"source": "gpt", "metadata": {"source_id": "other"}},
        {"source_id": "gpt", "metadata": {"source": "other"}},
        {"source": "gpt", "metadata": {"source": "other"}},
        {"metadata": {"source_id": "gpt", "source": "other"}},
    ],
)
def test_a_source_is_named_in_any_of_four_places_and_the_node_wins(fields: dict[str, Any]) -> None:
    assert node(**fields).source_id == "gpt"


def test_a_bad_lifted_setting_is_an_error_like_any_other() -> None:
    with pytest.raises(ValidationError, match="timeout_seconds"):
        node(metadata={"timeout_seconds": -1})


@pytest.mark.parametrize("data", [7, None, "x", [], {"id": "n", "type": "llm", "metadata": 3}])
def test_what_is_no_node_is_a_validation_error(data: object) -> None:
    with pytest.raises(ValidationError):
        Node.model_validate(data)


def test_http_is_another_name_for_api() -> None:
    assert node(type="http").kind == "api"
    assert node(type="api").kind == "api"
    assert node(type="my_plugin").kind == "my_plugin"


@pytest.mark.parametrize("good", ["a", "A-b_9", "x" * 100])
def test_node_ids_are_single_subject_tokens(good: str) -> None:
    assert node(id=good).id == good


@pytest.mark.parametrize("bad", ["", "a.b", "a b", "x" * 101, "a\n", "é", "*", 7, None])
def test_other_node_ids_are_refused(bad: object) -> None:
    with pytest.raises(ValidationError):
        node(id=bad)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("fail", "fail"),
        ("continue", "continue"),
        ({"default": None}, DefaultOnError(default=None)),
        ({"default": {"a": [1]}}, DefaultOnError(default={"a": [1]})),
        ({"goto": "b"}, GotoOnError(goto="b")),
    ],
)
def test_on_error_in_its_four_forms(written: object, meant: object) -> None:
    assert node(on_error=written).on_error == meant


@pytest.mark.parametrize("bad", ["ignore", {}, {"default": 1, "goto": "b"}, {"skip": 1}, 3])
def test_other_on_error_forms_are_refused(bad: object) -> None:
    with pytest.raises(ValidationError, match="on_error"):
        node(on_error=bad)


def test_an_edge_is_written_with_from_and_to() -> None:
    one = Edge.model_validate({"from": "a", "to": "b"})
    many = Edge.model_validate({"from": "a", "to": ["b", "c"], "condition": "x > 1"})
    assert (one.source, one.targets) == ("a", ("b",))
    assert (many.source, many.targets) == ("a", ("b", "c"))
    assert Edge(source="a", to="b") == one


def test_a_queue_is_written_with_from_and_to() -> None:
    queue = Queue.model_validate(
        {"id": "q", "from": "a", "to": ["b"], "bandwidth": {"max_requests_per_minute": 60}}
    )
    assert queue.source == "a"
    assert queue.bandwidth.max_requests_per_minute == 60
    assert queue.bandwidth.burst_size is None


@pytest.mark.parametrize(
    "limit",
    [{"max_messages_per_second": 0}, {"max_tokens_per_minute": -1}, {"burst_size": 0}],
)
def test_a_bandwidth_of_nothing_is_refused(limit: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Queue.model_validate({"id": "q", "from": "a", "to": "b", "bandwidth": limit})


@pytest.mark.parametrize(
    "unknown",
    [
        {"edgez": []},
        {"nodes": [{"id": "a", "type": "input", "metdata": {}}]},
        {"edges": [{"from": "a", "to": "b", "conditon": "x"}]},
        {"sources": [{"id": "s", "kind": "llm", "confg": {}}]},
        {"budget": {"eur": 1}},
    ],
)
def test_unknown_keys_outside_metadata_and_config_are_errors(unknown: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        spec(**unknown)


def test_unknown_keys_inside_metadata_and_config_are_kept() -> None:
    kept = spec(
        metadata={"owner": "x"},
        nodes=[{"id": "a", "type": "input", "metadata": {"mine": {"deep": None}}}],
        sources=[{"id": "s", "kind": "llm", "config": {"extra": [1]}}],
    )
    assert kept.metadata == {"owner": "x"}
    assert kept.nodes[0].metadata == {"mine": {"deep": None}}
    assert kept.sources[0].config == {"extra": [1]}


def test_nodes_and_sources_are_found_by_id() -> None:
    found = spec(sources=[{"id": "s", "kind": "db"}])
    assert found.node("a") == found.nodes[0]
    assert found.node("zz") is None
    assert found.source("s") == Source(id="s", kind="db")
    assert found.source("zz") is None


def test_a_spec_needs_a_start_node_and_at_least_one_node() -> None:
    for missing in ("start_node", "nodes"):
        body = {"start_node": "a", "nodes": [{"id": "a", "type": "input"}]}
        del body[missing]
        with pytest.raises(ValidationError, match=missing):
            WorkflowSpec.model_validate(body)
    with pytest.raises(ValidationError, match="nodes"):
        spec(nodes=[])


def test_a_spec_is_read_from_json_text() -> None:
    text = json.dumps({"start_node": "a", "nodes": [{"id": "a", "type": "input"}], "version": 2})
    assert WorkflowSpec.from_json(text) == WorkflowSpec.from_json(text.encode()) == spec(version=2)


@given(nodes)
def test_a_node_written_out_and_read_again_is_the_same(written: Node) -> None:
    for by_alias in (False, True):
        assert Node.model_validate_json(written.model_dump_json(by_alias=by_alias)) == written
    assert Node.model_validate(written.model_dump(exclude_none=True)) == written


@given(sources)
def test_a_source_written_out_and_read_again_is_the_same(written: Source) -> None:
    assert Source.model_validate_json(written.model_dump_json()) == written


@pytest.mark.parametrize(
    "bad",
    [{"max_attempts": 0}, {"multiplier": 0.5}, {"initial_seconds": -1}, {"jitter": "perhaps"}],
)
def test_a_retry_policy_that_makes_no_sense_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        RetryPolicy.model_validate(bad)
