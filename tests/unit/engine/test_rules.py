"""Router rules: CEL with short forms about the routed input."""

from typing import Any

import pytest

from agentflow.engine.conditions import MAX_LENGTH
from agentflow.engine.errors import BadCondition, ConditionError
from agentflow.engine.rules import compile_rule


@pytest.mark.parametrize(
    ("rule", "text", "holds"),
    [
        ("contains('fund')", "a refund", True),
        ("contains('fund')", "nothing", False),
        ("starts_with('I ')", "I want", True),
        ("ends_with('!')", "help!", True),
        ("equals('yes')", "yes", True),
        ("!equals('yes')", "no", True),
        ("!equals('yes') && length_gt(1)", "yes", False),
        ("length_gt(2)", "häß", True),
        ("length_gt(2)", "😀😀", False),
        ("length_lt(3) || contains('x')", "abcx", True),
        ("equals(('a'))", "a", True),
        ("contains('(') && contains(')')", "f(x)", True),
        ("input.matches('^[0-9]+$')", "123", True),
        ("input_length == 2", "ab", True),
        ("(contains('a') || contains('b')) && !contains('c')", "b", True),
    ],
)
def test_short_forms_speak_of_the_routed_input(rule: str, text: str, holds: bool) -> None:
    assert compile_rule(rule).holds(text, {}) is holds


def test_rules_read_the_state_as_well() -> None:
    rule = compile_rule("contains('refund') && customer.tier == 'gold'")
    assert rule.names == {"customer"}
    assert rule.holds("refund", {"customer": {"tier": "gold"}, "input": "hidden"})


def test_the_routed_input_hides_a_state_key_of_that_name() -> None:
    assert compile_rule("input == 'routed'").holds("routed", {"input": "state"})


def test_methods_keep_their_meaning() -> None:
    assert compile_rule("tags.contains('x') && contains('y')").holds("y", {"tags": "xx"})


@pytest.mark.parametrize("rule", ["contains(", "contains('a'", "length_gt('a", "and contains('a')"])
def test_a_broken_rule_is_refused(rule: str) -> None:
    with pytest.raises(BadCondition) as caught:
        compile_rule(rule)
    assert "contains" not in rule or "input.contains" not in caught.value.message


def test_a_rule_without_short_forms_keeps_its_place() -> None:
    with pytest.raises(BadCondition) as caught:
        compile_rule("a ==")
    assert caught.value.column == 5


def test_what_is_no_text_or_too_long_is_refused() -> None:
    bad: Any
    for bad in (None, 7, ["contains('x')"], "x" * (MAX_LENGTH + 1)):
        with pytest.raises(BadCondition):
            compile_rule(bad)


def test_a_rule_that_cannot_be_decided_says_so() -> None:
    with pytest.raises(ConditionError):
        compile_rule("size(nothing) > 1").holds("x", {})
