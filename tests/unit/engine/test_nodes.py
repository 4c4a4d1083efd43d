"""What the engine knows of nodes: which are pure, what they read, where they write."""

from typing import Any

import pytest

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.spec import Node
from agentflow.engine.nodes import default_output_key, is_pure, reads, reads_given, run_pure_node
from agentflow.engine.nodes.keywords import holds_phrase, normal


def node(type_: str, **metadata: Any) -> Node:
    return Node(id="n", type=type_, metadata=metadata)


@pytest.mark.parametrize(
    ("given", "pure"),
    [
        (node("input"), True),
        (node("aggregator"), True),
        (node("router"), True),
        (node("router", strategy="rules"), True),
        (node("router", strategy="llm"), False),
        (node("router", strategy="ml"), False),
        (node("llm"), False),
        (node("plugin"), False),
        (Node(id="n", type="input", pool="big"), False),
        (Node(id="n", type="router", metadata={"pool": "big"}), False),
    ],
)
def test_which_nodes_are_decided_in_place(given: Node, pure: bool) -> None:
    assert is_pure(given) is pure


def test_a_node_that_needs_a_worker_is_not_run_here() -> None:
    with pytest.raises(NodeFailed) as caught:
        run_pure_node(node("llm"), {})
    assert caught.value.error_code == "unsupported_type"


def test_equal_nodes_with_other_metadata_are_not_mixed_up() -> None:
    results = [
        run_pure_node(node("router", strategy="default", default_intent=f"i{n}"), {}).output
        for n in range(50)
    ]
    assert results == [f"i{n}" for n in range(50)]


@pytest.mark.parametrize(
    ("type_", "key"),
    [
        ("input", None),
        ("router", "intent"),
        ("llm", "text_result"),
        ("image", "image_result"),
        ("db", "db_result"),
        ("api", "api_result"),
        ("http", "api_result"),
        ("aggregator", "final_output"),
        ("plugin", None),
    ],
)
def test_where_nodes_write(type_: str, key: str | None) -> None:
    assert default_output_key(node(type_)) == key
    expected = None if type_ == "input" else "mine"
    assert default_output_key(node(type_, output_key="mine")) == expected
    assert default_output_key(node(type_, output_key=7)) == key


@pytest.mark.parametrize(
    ("given", "keys"),
    [
        (
            node("llm", prompt="{a.b} {outputs.x.y}", system_prompt="{c}"),
            {"user_input", "a", "outputs.x", "c"},
        ),
        (node("llm"), {"user_input"}),
        (node("db", params={"n": ["{deep.0}"]}), {"user_input", "deep"}),
        (
            node("api", path="/x/{id}", query={"q": "{q}"}, body={"b": "bare"}),
            {"user_input", "id", "q", "bare", "outputs.bare"},
        ),
        (node("llm", prompt="{{ a.b }}", template_engine="jinja"), {"user_input", "a"}),
        (node("router", strategy="default"), set()),
        (node("aggregator", include_metadata=False), {"outputs"}),
        (
            node("aggregator", strategy="template", template="{a}"),
            {"a", "execution_path", "tokens_used", "cost"},
        ),
        (
            node("aggregator", strategy="expression", expression="a + b.c", include_metadata=False),
            {"a", "b"},
        ),
        (
            node("aggregator", source_keys=["k.x"], include_metadata=False),
            {"k", "k.x", "outputs.k", "outputs.k.x"},
        ),
        (
            node(
                "aggregator",
                strategy="priority",
                priority_order=["outputs.n.x"],
                include_metadata=False,
            ),
            {"outputs.n.x", "outputs.n"},
        ),
        (
            node("aggregator", source_keys=["k"], custom_fields={"a": "{z}"}),
            {"k", "outputs.k", "z", "execution_path", "tokens_used", "cost"},
        ),
        (
            node("aggregator", strategy="template", template="{outputs}", include_metadata=False),
            {"outputs"},
        ),
    ],
)
def test_what_a_node_reads(given: Node, keys: set[str]) -> None:
    assert reads(given) == frozenset(keys)


@pytest.mark.parametrize(
    "given",
    [
        node("input"),
        node("router"),
        node("plugin", prompt="{a}"),
        node("llm", prompt="{{ broken", template_engine="jinja"),
        node("llm", prompt="x", template_engine="mustache"),
        node("aggregator", strategy="template"),
        node("aggregator", strategy="expression", expression="=="),
    ],
)
def test_where_there_is_doubt_a_node_reads_everything(given: Node) -> None:
    assert reads(given) is None


def test_a_router_whose_input_is_there_reads_little() -> None:
    routes = [{"intent": "a", "condition": "contains('x') && tier == 'gold'"}, {"intent": "b"}]
    rules = node("router", strategy="rules", routes=routes)
    assert reads_given(rules, {"user_input", "tier", "big"}) == frozenset({"user_input", "tier"})
    assert reads_given(rules, {"big"}) is None
    assert reads_given(node("router", input_key="mail", routes=[]), {"mail"}) == frozenset({"mail"})
    assert reads_given(node("router", strategy="llm"), {"user_input"}) is None
    assert reads_given(node("llm"), {"user_input"}) == frozenset({"user_input"})
    broken = node("router", strategy="rules", routes=[{"condition": "=="}])
    assert reads_given(broken, {"user_input"}) is None


STATE: dict[str, Any] = {
    "user_input": "refund",
    "k": {"x": {"y": 1}},
    "z": "zed",
    "list": [{"a": 1}],
    "outputs": {"k2": {"v": 3}, "other": "o"},
    "execution_path": ["k2"],
    "tokens_used": 1,
    "cost": 0.1,
}


@pytest.mark.parametrize(
    "given",
    [
        node("aggregator"),
        node("aggregator", source_keys=["k.x", "k2.v", "outputs.other", "gone"]),
        node(
            "aggregator",
            strategy="concat",
            source_keys=["z", "k2"],
            custom_fields={"a": ["{list.0.a}", "{z}!"]},
        ),
        node("aggregator", strategy="template", template="{k.x.y} {outputs.k2.v} {gone}"),
        node(
            "aggregator",
            strategy="template",
            template="{{ k.x.y }} {{ outputs.k2.v }}",
            template_engine="jinja",
        ),
        node(
            "aggregator",
            strategy="expression",
            expression="k.x.y + outputs.k2.v + list.filter(i, i.a == 1)[0].a",
        ),
        node("router", routes=[{"intent": "r", "keywords": ["refund"]}]),
        node("router", strategy="rules", routes=[{"intent": "r", "condition": "z == 'zed'"}]),
    ],
)
def test_a_node_does_the_same_with_only_what_it_reads(given: Node) -> None:
    keys = reads_given(given, STATE.keys())
    assert keys is not None
    narrow = {key: value for key, value in STATE.items() if key in keys}
    wanted = {key.split(".")[1] for key in keys if key.startswith("outputs.")}
    if "outputs" not in keys:
        outputs = {key: value for key, value in STATE["outputs"].items() if key in wanted}
        narrow |= {"outputs": outputs} if outputs else {}
    assert run_pure_node(given, narrow) == run_pure_node(given, STATE)


def test_words_end_where_letters_end() -> None:
    assert holds_phrase(normal("Straße 5"), normal("STRASSE"))
    assert not holds_phrase("cafés", "café")
    assert not holds_phrase(normal("नमस्ते"), normal("नमस"))
    assert holds_phrase("aa a", "a")
    assert not holds_phrase("text", "")
