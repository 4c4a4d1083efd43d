"""The pure router: first match wins, the default is for when nothing matches."""

from typing import Any

import pytest

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node
from agentflow.engine.nodes import run_pure_node


def route(state: dict[str, Any], **metadata: Any) -> NodeResult:
    return run_pure_node(Node(id="r", type="router", metadata=metadata), state)


def intent(text: Any, **metadata: Any) -> Any:
    return route({"user_input": text}, **metadata).output


KEYWORDS = [
    {"intent": "refund", "keywords": ["refund", "money back", "C++"]},
    {"intent": "delivery", "keywords": ["where is", "Päckchen"]},
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I want a REFUND!", "refund"),
        ("give me my money   back", "refund"),
        ("refunds are fine", "other"),
        ("where is my refund", "refund"),
        ("Where is it?", "delivery"),
        ("somewhere is nowhere", "other"),
        ("ein päckchen", "delivery"),
        ("ein Pa\u0308ckchen", "delivery"),
        ("c++ please", "refund"),
        ("refund_policy", "other"),
        ("", "other"),
    ],
)
def test_keywords_match_whole_words_or_phrases_whatever_the_case(text: str, expected: str) -> None:
    assert intent(text, routes=KEYWORDS, default_intent="other") == expected


def test_keywords_are_the_strategy_when_none_is_named_and_it_writes_intent() -> None:
    result = route({"user_input": "refund"}, routes=KEYWORDS)
    assert (result.output, result.output_key, result.input) == ("refund", "intent", "refund")


@pytest.mark.parametrize("text", ["我要退款", "返金してください", "ขอเงินคืนครับ", "환불해 주세요"])
def test_scripts_without_spaces_match_anywhere(text: str) -> None:
    keywords = ["退款", "返金", "เงินคืน", "환불"]
    assert intent(text, routes=[{"intent": "refund", "keywords": keywords}]) == "refund"


def test_a_loose_match_is_a_substring() -> None:
    routes = [{"intent": "a", "keywords": ["fund"]}]
    assert intent("refunds", routes=routes, match="substring") == "a"
    assert intent("refunds", routes=routes) is None
    one = [{"intent": "a", "keywords": ["fund"], "match": "substring"}]
    assert intent("refunds", routes=one) == "a"


def test_empty_keywords_never_match() -> None:
    assert intent("x", routes=[{"intent": "a", "keywords": ["", " "]}], default_intent="d") == "d"


def test_patterns_are_searched_in_order() -> None:
    routes = [
        {"intent": "number", "pattern": r"\b\d{4}\b"},
        {"intent": "loud", "pattern": "help", "ignore_case": True},
        {"intent": "never"},
    ]
    assert intent("order 1234", strategy="pattern", routes=routes) == "number"
    assert intent("HELP", strategy="pattern", routes=routes) == "loud"
    assert intent("x", strategy="pattern", routes=routes, default_intent="d") == "d"


def test_rules_see_the_input_and_the_state() -> None:
    routes = [
        {"intent": "vip", "condition": "contains('help') && tier == 'gold'"},
        {"intent": "long", "condition": "length_gt(5)"},
        {"intent": "never"},
    ]
    state = {"user_input": "help", "tier": "gold"}
    assert route(state, strategy="rules", routes=routes).output == "vip"
    assert intent("help me", strategy="rules", routes=routes) == "long"
    assert intent("hi", strategy="rules", routes=routes, default_intent="d") == "d"


def test_a_rule_that_cannot_be_decided_fails_the_node() -> None:
    with pytest.raises(NodeFailed) as caught:
        intent("x", strategy="rules", routes=[{"intent": "a", "condition": "size(rows) > 0"}])
    assert caught.value.error_code == "rule_failed"
    assert "rows is null" in (caught.value.hint or "")


def test_the_default_strategy_sets_the_default_and_nothing_else() -> None:
    result = route({}, strategy="default", default_intent="d", routes=KEYWORDS)
    assert (result.output, result.input, result.writes) == ("d", None, {})


def test_no_match_and_no_default_is_null_with_a_warning() -> None:
    result = route({"user_input": "x"}, routes=KEYWORDS)
    assert result.output is None
    assert "default_intent" in result.warnings[0]


def test_the_input_key_goes_before_user_input() -> None:
    state = {"user_input": "refund", "mail": {"text": "where is it"}}
    assert route(state, routes=KEYWORDS, input_key="mail.text").output == "delivery"
    assert route(state, routes=KEYWORDS, input_key="nothing").output == "refund"


def test_without_user_input_the_state_is_routed_as_json() -> None:
    state = {"subject": "refund", "outputs": {"a": "where is"}, "execution_path": ["a"]}
    result = route(state, routes=KEYWORDS)
    assert result.output == "refund"
    assert result.input == '{"subject": "refund"}'


def test_an_object_is_routed_as_json() -> None:
    assert intent({"wish": "a refund"}, routes=KEYWORDS) == "refund"


def test_the_intent_can_go_to_another_key() -> None:
    assert route({"user_input": "refund"}, routes=KEYWORDS, output_key="lane").output_key == "lane"


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"strategy": "llm"}, "unsupported_strategy"),
        ({"strategy": "magic"}, "invalid_config"),
        ({"routes": "x"}, "invalid_config"),
        ({"strategy": "pattern", "routes": [{"intent": "a", "pattern": "("}]}, "bad_regex"),
        ({"strategy": "rules", "routes": [{"intent": "a", "condition": "=="}]}, "bad_condition"),
    ],
)
def test_metadata_that_cannot_be_used_fails_the_node(metadata: dict[str, Any], code: str) -> None:
    with pytest.raises(NodeFailed) as caught:
        route({"user_input": "x"}, **metadata)
    assert caught.value.error_code == code
