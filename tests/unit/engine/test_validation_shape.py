"""Validation: shapes, each fault with its code and place, none hiding another."""

import copy
import json
from typing import Any

import pytest

from agentflow.contracts.problem import Issue
from agentflow.engine.validation import validate_spec

GOOD: dict[str, Any] = {
    "name": "good",
    "start_node": "in",
    "nodes": [
        {"id": "in", "type": "input"},
        {"id": "ask", "type": "llm", "metadata": {"source_id": "m", "prompt": "Say {user_input}"}},
    ],
    "edges": [{"from": "in", "to": "ask", "queue": "q"}, {"from": "ask", "to": "END"}],
    "queues": [{"id": "q", "from": "in", "to": "ask", "bandwidth": {"burst_size": 3}}],
    "sources": [{"id": "m", "kind": "llm", "config": {"provider": "demo"}}],
}


def put(path: str, value: Any) -> dict[str, Any]:
    """The good spec with one value put at `path` (`-` for a value takes it out)."""
    document = copy.deepcopy(GOOD)
    *steps, last = [int(s) if s.isdecimal() else s for s in path.split("/")]
    here: Any = document
    for step in steps:
        here = here[step]
    if value == "-":
        del here[last]
    else:
        here[last] = value
    return document


def errors(document: Any) -> list[Issue]:
    return list(validate_spec(document).errors)


def test_a_good_spec_has_nothing_to_tell() -> None:
    checked = validate_spec(GOOD)
    assert checked.valid
    assert checked.spec is not None
    assert checked.spec.name == "good"
    assert checked.errors == checked.warnings == ()
    assert checked.report().valid


@pytest.mark.parametrize(
    ("path", "value", "code", "pointer"),
    [
        ("egdes", [], "unknown_field", "/egdes"),
        ("nodes/0/metdata", {}, "unknown_field", "/nodes/0/metdata"),
        ("edges/0/when", "x", "unknown_field", "/edges/0/when"),
        ("nodes/0/retry", {"attempts": 3}, "unknown_field", "/nodes/0/retry/attempts"),
        ("sources/0/provider", "x", "unknown_field", "/sources/0/provider"),
        ("nodes/0/id", "-", "missing_field", "/nodes/0/id"),
        ("nodes", "-", "missing_field", "/nodes"),
        ("edges/0/to", "-", "missing_field", "/edges/0/to"),
        ("nodes", {}, "wrong_type", "/nodes"),
        ("nodes/0", "in", "wrong_type", "/nodes/0"),
        ("nodes/0/metadata", [], "wrong_type", "/nodes/0/metadata"),
        ("nodes/0/when", 5, "wrong_type", "/nodes/0/when"),
        ("nodes/0/timeout_seconds", "soon", "wrong_type", "/nodes/0/timeout_seconds"),
        ("edges/0/to", 7, "wrong_type", "/edges/0/to"),
        ("edges/0/to", ["ask", 7], "wrong_type", "/edges/0/to"),
        ("queues/0/to", {}, "wrong_type", "/queues/0/to"),
        ("version", [], "wrong_type", "/version"),
        ("nodes/0/on_error", "retry", "wrong_type", "/nodes/0/on_error"),
        ("nodes/0/on_error", {"goto": 3}, "wrong_type", "/nodes/0/on_error"),
        ("nodes/0/join", "all", "invalid_value", "/nodes/0/join"),
        ("nodes/0/timeout_seconds", -1, "invalid_value", "/nodes/0/timeout_seconds"),
        ("nodes/0/retry", {"max_attempts": 0}, "invalid_value", "/nodes/0/retry/max_attempts"),
        ("nodes", [], "invalid_value", "/nodes"),
        ("sources/0/kind", "llms", "invalid_value", "/sources/0/kind"),
        ("budget", {"usd": 0}, "invalid_value", "/budget/usd"),
        (
            "queues/0/bandwidth",
            {"burst_size": 0},
            "bad_bandwidth",
            "/queues/0/bandwidth/burst_size",
        ),
        (
            "queues/0/bandwidth",
            {"max_tokens_per_minute": "x"},
            "bad_bandwidth",
            "/queues/0/bandwidth/max_tokens_per_minute",
        ),
    ],
)
def test_a_fault_of_shape_is_told_once_at_its_place(
    path: str, value: Any, code: str, pointer: str
) -> None:
    found = [issue for issue in errors(put(path, value)) if issue.pointer == pointer]
    assert [issue.code for issue in found] == [code]
    assert found[0].hint


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("egdes", "'edges'"),
        ("nodes/0/metdata", "'metadata'"),
        ("edges/0/form", "'from'"),
        ("nodes/0/Type_", "'type'"),
        ("budget", "'usd'"),
    ],
)
def test_an_unknown_key_suggests_the_nearest(path: str, hint: str) -> None:
    value: Any = {"usb": 1} if path == "budget" else 1
    found = [issue for issue in errors(put(path, value)) if issue.code == "unknown_field"]
    assert hint in (found[0].hint or "")


def test_a_key_like_no_other_lists_what_there_is() -> None:
    assert "nodes" in (errors(put("zzzzzz", 1))[0].hint or "")


def test_a_setting_inside_metadata_is_pointed_at_there() -> None:
    found = errors(put("nodes/1/metadata", {"source_id": "m", "retry": {"max_attempts": 0}}))
    assert [issue.pointer for issue in found] == ["/nodes/1/metadata/retry/max_attempts"]
    assert found[0].node_id == "ask"
    found = errors(put("nodes/1/metadata", {"source": 7}))
    assert [(issue.code, issue.pointer) for issue in found] == [
        ("wrong_type", "/nodes/1/metadata/source")
    ]


@pytest.mark.parametrize("document", [None, 7, "text", [], [GOOD]])
def test_what_is_no_object_is_no_workflow(document: Any) -> None:
    checked = validate_spec(document)
    assert not checked.valid
    assert checked.spec is None
    assert checked.errors[0].code == "wrong_type"


def test_faults_of_shape_hide_no_other_faults() -> None:
    document = copy.deepcopy(GOOD)
    document["egdes"] = 1
    document["nodes"][0]["retry"] = "often"
    document["edges"].append({"from": "ask", "to": ["nowhere", 5]})
    document["nodes"].append({"id": "alone", "type": "teleporter"})
    document["nodes"].append({"id": "cond", "type": "db", "when": "=="})
    codes = {issue.code for issue in errors(document)}
    assert codes >= {
        "unknown_field",
        "wrong_type",
        "unknown_edge_target",
        "orphaned_node",
        "unsupported_type",
        "bad_condition",
        "missing_source",
        "missing_metadata",
    }


def test_issues_come_in_the_order_of_the_document() -> None:
    document = put("nodes/0/x", 1)
    document["nodes"] += [{"id": f"n{n}", "type": "nope"} for n in range(12)]
    found = [issue.pointer for issue in errors(document) if issue.code == "unsupported_type"]
    assert found == [f"/nodes/{n}/type" for n in range(2, 14)]


def test_a_document_that_is_not_json_is_refused() -> None:
    for value in (float("nan"), float("inf"), {1, 2}, b"x", object(), 10**400):
        assert "invalid_value" in [issue.code for issue in errors(put("metadata", {"a": value}))]
    assert errors({1: 2})[0].code == "invalid_value"


def test_a_document_nested_too_deeply_is_refused_and_does_not_crash() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    found = errors(put("metadata", deep))
    assert [issue.code for issue in found] == ["payload_too_large"]


def test_a_document_that_holds_itself_is_refused() -> None:
    document = put("metadata", {})
    document["metadata"]["self"] = document
    assert [issue.code for issue in errors(document)] == ["payload_too_large"]


def test_a_document_too_large_is_refused() -> None:
    found = errors(put("description", "x" * 9_000_000))
    assert [issue.code for issue in found] == ["payload_too_large"]
    wide: Any = [0] * 1000
    for _ in range(3):
        wide = [wide] * 1000
    assert [issue.code for issue in errors(put("metadata", {"w": wide}))] == ["payload_too_large"]
    text = json.dumps(GOOD) + " " * 9_000_000
    assert validate_spec(GOOD, text=text).errors[0].code == "payload_too_large"


def test_more_errors_than_anybody_reads_are_cut_and_counted() -> None:
    document = put("nodes", [{"id": f"n{n}", "type": "nope"} for n in range(3_000)])
    found = errors(document)
    assert len(found) == 1_001
    assert found[-1].code == "too_many_issues"


def test_metadata_has_the_shape_its_type_needs() -> None:
    document = copy.deepcopy(GOOD)
    document["nodes"] += [
        {
            "id": "r",
            "type": "router",
            "metadata": {"strategy": "magic", "routes": [{"keywords": "x"}]},
        },
        {
            "id": "a",
            "type": "aggregator",
            "metadata": {"source_keys": "k", "include_metadata": "?"},
        },
        {"id": "l", "type": "llm", "metadata": {"source_id": "m", "max_tokens": 0}},
        {"id": "w", "type": "http", "metadata": {"source_id": "m", "method": "STEAL", "path": "/"}},
    ]
    found = {(i.code, i.pointer) for i in errors(document) if "/metadata" in i.pointer}
    assert found == {
        ("invalid_value", "/nodes/2/metadata/strategy"),
        ("missing_field", "/nodes/2/metadata/routes/0/intent"),
        ("wrong_type", "/nodes/2/metadata/routes/0/keywords"),
        ("wrong_type", "/nodes/3/metadata/source_keys"),
        ("wrong_type", "/nodes/3/metadata/include_metadata"),
        ("invalid_value", "/nodes/4/metadata/max_tokens"),
        ("invalid_value", "/nodes/5/metadata/method"),
        ("wrong_source_kind", "/nodes/5/metadata/source_id"),
    }
