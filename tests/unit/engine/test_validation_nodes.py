"""Validation: node types, sources, and the little programs in nodes and edges."""

from typing import Any

import pytest

from agentflow.contracts.problem import Issue
from agentflow.contracts.spec import NODE_TYPES, Source
from agentflow.engine.validation import validate_spec

SOURCES = [
    {"id": "m", "kind": "llm", "config": {"provider": "demo"}},
    {"id": "d", "kind": "db", "config": {"provider": "sqlite", "connection_string_env": "X"}},
    {"id": "w", "kind": "api", "config": {"base_url": "https://example.org"}},
]


def check(*nodes: dict[str, Any], edges: Any = None, **options: Any) -> list[Issue]:
    """The issues of a spec where a start node leads to each of these nodes."""
    named = [{"id": f"n{place}", **node} for place, node in enumerate(nodes)]
    checked = validate_spec(
        {
            "start_node": "in",
            "nodes": [*named, {"id": "in", "type": "input"}],
            "edges": edges or [{"from": "in", "to": [node["id"] for node in named]}],
            "sources": options.pop("sources", SOURCES),
        },
        **options,
    )
    return [*checked.errors, *checked.warnings]


def node(type_: str, /, **metadata: Any) -> dict[str, Any]:
    return {"type": type_, "metadata": metadata}


def places(issues: list[Issue]) -> list[tuple[str, str]]:
    return [(issue.code, issue.pointer.removeprefix("/nodes/0")) for issue in issues]


def test_an_unknown_type_suggests_the_nearest() -> None:
    issue = check(node("agregator"))[0]
    assert (issue.code, issue.pointer, issue.node_id) == ("unsupported_type", "/nodes/0/type", "n0")
    assert "'aggregator'" in (issue.hint or "")


def test_plugin_types_can_be_made_known() -> None:
    assert check(node("scraper", anything=1), known_types=(*NODE_TYPES, "scraper")) == []


def test_aliases_of_known_types_are_known() -> None:
    assert check(node("http", source_id="w", path="/x")) == []
    assert (
        check(node("http", source_id="w", path="/x"), known_types=["input"])[0].code
        == "unsupported_type"
    )


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        (node("db", source_id="d"), "/metadata/query"),
        (node("db", source_id="d", query=""), "/metadata/query"),
        (node("api", source_id="w"), "/metadata/path"),
        (node("aggregator", strategy="template"), "/metadata/template"),
        (node("aggregator", strategy="expression"), "/metadata/expression"),
        (node("aggregator", strategy="priority"), "/metadata/priority_order"),
        (node("router"), "/metadata/routes"),
        (node("router", strategy="llm", source_id="m"), "/metadata/routes"),
        (node("router", strategy="default"), "/metadata/default_intent"),
        (node("router", routes=[{"intent": "a"}]), "/metadata/routes/0/keywords"),
        (
            node("router", strategy="pattern", routes=[{"intent": "a"}]),
            "/metadata/routes/0/pattern",
        ),
        (
            node("router", strategy="rules", routes=[{"intent": "a"}]),
            "/metadata/routes/0/condition",
        ),
    ],
)
def test_what_a_type_needs_has_to_be_there(given: dict[str, Any], missing: str) -> None:
    assert places(check(given)) == [("missing_metadata", missing)]


@pytest.mark.parametrize(
    "given",
    [
        node("llm", source_id="m"),
        node("aggregator"),
        node("aggregator", strategy="priority", source_keys=["a"]),
        node("api", url="https://example.org/x"),
        node("router", strategy="ml", routes=[{"intent": "a", "examples": ["x"]}]),
        node("input", validation={"schema": {"type": "string"}}),
        {"type": "llm", "source": "m"},
        {"type": "llm", "source_id": "m", "metadata": {"prompt": "x"}},
        {"type": "llm", "metadata": {"source": "m"}},
    ],
)
def test_what_is_enough_is_enough(given: dict[str, Any]) -> None:
    assert check(given) == []


@pytest.mark.parametrize("kind", ["llm", "image", "db", "api"])
def test_who_needs_a_source_has_to_name_one(kind: str) -> None:
    found = check(node(kind, query="q", path="/x"))
    assert places(found) == [("missing_source", "/metadata/source_id")]
    assert places(check(node("router", strategy="llm", routes=[{"intent": "a"}]))) == places(found)


def test_an_unknown_source_suggests_the_nearest_inlined_or_stored() -> None:
    issue = check({"type": "llm", "source": "modle"}, known_sources={"model": "llm"})[0]
    assert (issue.code, issue.pointer) == ("unknown_source", "/nodes/0/source")
    assert "'model'" in (issue.hint or "")


def test_a_source_of_the_wrong_kind_is_told_where_it_is_named() -> None:
    found = check(node("db", source_id="m", query="q"))
    assert places(found) == [("wrong_source_kind", "/metadata/source_id")]
    assert places(check(node("llm", source="d"))) == [("wrong_source_kind", "/metadata/source")]


STORED = Source(id="s", kind="llm")


@pytest.mark.parametrize(
    "known", [{"s": STORED}, {"s": "llm"}, {"s": {"kind": "llm"}}, {"s": True}, lambda _: STORED]
)
def test_stored_sources_can_be_named(known: Any) -> None:
    assert check(node("llm", source_id="s"), known_sources=known) == []


@pytest.mark.parametrize("known", [None, {}, lambda _: None, {"s": None}])
def test_sources_that_are_not_stored_are_unknown(known: Any) -> None:
    assert check(node("llm", source_id="s"), known_sources=known)[0].code == "unknown_source"


def test_the_kind_of_a_stored_source_is_checked_and_an_inlined_one_wins() -> None:
    assert (
        check(node("llm", source_id="s"), known_sources={"s": "db"})[0].code == "wrong_source_kind"
    )
    assert check(node("llm", source_id="m"), known_sources={"m": "db"}) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ({"kind": "llm"}, [("missing_config", "provider")]),
        ({"kind": "llm", "config": {"provider": "openai"}}, [("missing_config", "model")]),
        ({"kind": "llm", "config": {"provider": "OpenAI", "model_name": "x"}}, []),
        (
            {"kind": "llm", "config": {"provider": "opnai", "model": "x"}},
            [("unsupported_provider", "provider")],
        ),
        (
            {"kind": "llm", "config": {"provider": 7, "model": "x"}},
            [("unsupported_provider", "provider")],
        ),
        (
            {"kind": "llm", "config": {"provider": "azure_openai", "deployment": "x"}},
            [("missing_config", "azure_endpoint")],
        ),
        (
            {"kind": "llm", "config": {"provider": "demo", "base_url": "ftp://x"}},
            [("invalid_value", "base_url")],
        ),
        (
            {"kind": "image", "config": {"provider": "anthropic"}},
            [("unsupported_provider", "provider")],
        ),
        ({"kind": "db", "config": {}}, [("missing_config", "connection_string_env")]),
        ({"kind": "db", "config": {"connection_string_env": "X"}}, []),
        (
            {"kind": "db", "config": {"provider": "oracle", "connection_string_env": "X"}},
            [("unsupported_provider", "provider")],
        ),
        ({"kind": "api"}, [("missing_config", "base_url")]),
        (
            {"kind": "api", "config": {"base_url": "http://x", "auth_method": "magic"}},
            [("invalid_value", "auth_method")],
        ),
        ({"kind": "api", "config": {"base_url": "http://x", "auth_type": "bearer"}}, []),
    ],
)
def test_what_a_source_needs_has_to_be_there(source: dict[str, Any], found: Any) -> None:
    issues = check(sources=[{"id": "s", **source}], edges=[{"from": "in", "to": "END"}])
    assert [(i.code, i.pointer.removeprefix("/sources/0/config/")) for i in issues] == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"type": "input", "when": "a =="}, ("bad_condition", "/when")),
        (node("input", when="nope(1)"), ("bad_condition", "/metadata/when")),
        (
            node("router", strategy="rules", routes=[{"intent": "a", "condition": "contains("}]),
            ("bad_condition", "/metadata/routes/0/condition"),
        ),
        (
            node("router", strategy="pattern", routes=[{"intent": "a", "pattern": "("}]),
            ("bad_regex", "/metadata/routes/0/pattern"),
        ),
        (
            node(
                "router",
                strategy="pattern",
                routes=[{"intent": "a", "pattern": "(?=x)", "ignore_case": True}],
            ),
            ("bad_regex", "/metadata/routes/0/pattern"),
        ),
        (
            node("aggregator", strategy="expression", expression="1 +"),
            ("bad_condition", "/metadata/expression"),
        ),
        (
            node("input", validation={"schema": {"type": "nope"}}),
            ("bad_schema", "/metadata/validation/schema"),
        ),
        (
            node("llm", source_id="m", response_schema={"$ref": "http://x"}),
            ("bad_schema", "/metadata/response_schema"),
        ),
        (
            node("llm", source_id="m", prompt="{{ x", template_engine="jinja"),
            ("bad_template", "/metadata/prompt"),
        ),
        (
            node(
                "db", source_id="d", query="q", params={"a": ["{% x %}"]}, template_engine="jinja"
            ),
            ("bad_template", "/metadata/params/a/0"),
        ),
        (
            node("llm", source_id="m", prompt="x", template_engine="mustache"),
            ("invalid_value", "/metadata/template_engine"),
        ),
    ],
)
def test_texts_that_do_not_compile_are_told_at_their_place(given: Any, found: Any) -> None:
    issues = check(given)
    assert places(issues) == [found]
    assert issues[0].node_id == "n0"


def test_what_is_not_used_is_not_compiled() -> None:
    routes = [{"intent": "a", "keywords": ["k"], "pattern": "(", "condition": "=="}]
    assert check(node("router", routes=routes)) == []
    assert check(node("aggregator", template="{% x %}", template_engine="jinja")) == []
    assert check(node("llm", source_id="m", prompt="{% x %} {{ y")) == []


def test_a_condition_on_an_edge_is_told_there() -> None:
    edges = [
        {"from": "in", "to": "n0", "condition": "a === 1"},
        {"from": "in", "to": "n0", "condition": "else"},
        {"from": "n0", "to": "END", "condition": "intent"},
    ]
    issue = check(node("input"), edges=edges)[0]
    assert (issue.code, issue.pointer, issue.node_id) == (
        "bad_condition",
        "/edges/0/condition",
        "in",
    )


ROUTES = [{"intent": "bill", "keywords": ["a"]}, {"intent": "help", "keywords": ["b"]}]


def routed(*targets: str, **metadata: Any) -> list[Issue]:
    nodes = [{"id": target, "type": "input"} for target in targets if target != "END"]
    router = {"id": "r", **node("router", routes=ROUTES, **metadata)}
    edges = [
        {"from": "in", "to": "r"},
        {"from": "r", "to": list(targets), "condition": "intent"},
    ]
    return check(router, *nodes, edges=edges)


def test_intents_that_find_their_target_are_fine() -> None:
    assert routed("bill", "help") == []
    assert routed("billing", "get_help", default_intent="bill") == []


def test_an_intent_that_fits_none_or_several_targets_is_warned_of() -> None:
    found = routed("billing", "bills", "other", default_intent="othr")
    assert [(i.code, i.severity, i.pointer) for i in found] == [
        ("unroutable_intent", "warning", "/nodes/0/metadata/default_intent"),
        ("unroutable_intent", "warning", "/nodes/0/metadata/routes/0/intent"),
        ("unroutable_intent", "warning", "/nodes/0/metadata/routes/1/intent"),
    ]
    assert "'billing', 'bills'" in found[1].message
    assert "no target" in found[2].message
    assert "'other'" in (found[0].hint or "")
