"""Conditions: CEL over the state, undefined names null, hostile texts refused."""

from typing import Any

import pytest

from agentflow.engine.conditions import (
    MAX_LENGTH,
    Condition,
    compile_condition,
    edge_condition_kind,
    longest_list,
)
from agentflow.engine.errors import BadCondition, ConditionError


def holds(text: str, /, **state: Any) -> bool:
    return compile_condition(text).holds(state)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("intent == 'text' && size(db_result) > 0", {"intent": "text", "db_result": [1]}),
        ("order.total > 100", {"order": {"total": 100.5}}),
        ("order.total > 100", {"order": {"total": 101}}),
        ("'vip' in tags", {"tags": ["new", "vip"]}),
        ("orders.exists(o, o.status == 'late')", {"orders": [{"status": "late"}]}),
        ("!has(customer.vip) || customer.vip", {"customer": {}}),
        ("name.lowerAscii() == 'ada' && name.upperAscii() == 'ADA'", {"name": "Ada"}),
        ("pad.trim() == 'x'", {"pad": " x "}),
        ("text.matches('(?i)urgent')", {"text": "URGENT"}),
        ("type(n) == int", {"n": 1}),
        ("optional.none().orValue(true)", {}),
        ("ok", {"ok": True}),
    ],
)
def test_a_condition_that_is_true_holds(text: str, state: dict[str, Any]) -> None:
    assert holds(text, **state) is True


def test_a_condition_that_is_false_does_not_hold() -> None:
    assert holds("intent == 'text'", intent="image") is False


def test_a_name_the_state_does_not_have_is_null() -> None:
    assert holds("coupon == null") is True
    assert holds("intent == 'x'") is False


def test_names_are_the_state_keys_it_reads_and_not_those_macros_bind() -> None:
    assert compile_condition("a.exists(x, x > b) && c.d == 1").names == {"a", "b", "c"}
    assert compile_condition("x.exists(x, x > 1)").names == {"x"}
    assert compile_condition("a.all(x, b.all(y, x == y)) && y == 1").names == {"a", "b", "y"}
    assert compile_condition("'x.exists(q, q)' == s // w == 1").names == {"s"}


def test_only_the_named_variables_are_handed_to_cel() -> None:
    class Watched(dict[str, Any]):
        def get(self, key: str, default: Any = None) -> Any:
            asked.append(key)
            return super().get(key, default)

    asked: list[str] = []
    assert compile_condition("a == 1").holds(Watched(a=1, huge=object()))
    assert asked == ["a"]


def test_a_type_name_is_a_state_key_unless_types_are_compared() -> None:
    assert compile_condition("type == 'refund'").names == {"type"}
    assert holds("type == 'refund'", type="refund")
    assert compile_condition("type(list) == list").names == frozenset()


def test_keys_that_are_reserved_nouns_of_cel_can_be_read() -> None:
    condition = compile_condition("package[0].loop == 'MIT' && package.exists(p, p.loop != '')")
    assert condition.names == {"package"}
    assert condition.holds({"package": [{"loop": "MIT"}]})


def test_a_condition_is_compiled_once() -> None:
    assert compile_condition("a == 1") is compile_condition("a == 1")


@pytest.mark.parametrize("text", ["1", "'yes'", "a", "[true]", "l.map(x, x)"])
def test_what_is_neither_true_nor_false_is_an_error_and_no_guess(text: str) -> None:
    with pytest.raises(ConditionError, match="could not be decided") as caught:
        holds(text, l=[1])
    assert caught.value.hint
    assert caught.value.expression == text


def test_an_error_says_which_name_is_null_and_how_to_guard() -> None:
    with pytest.raises(ConditionError) as caught:
        holds("size(rows) > 0 && package.x == 1")
    assert "package, rows is null" in (caught.value.hint or "")


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConditionError, match="'total'"):
        holds("order.total > 1", order={})


def test_a_long_expression_is_shortened_in_the_error() -> None:
    with pytest.raises(ConditionError) as caught:
        holds(f"size(x) > 1 && y != '{'z' * 500}'")
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("text", ["a + 1 == b", "1 / 0 == 1", "9223372036854775807 + 1 > 0"])
def test_whatever_cel_raises_becomes_a_condition_error(text: str) -> None:
    with pytest.raises(ConditionError):
        holds(text, a="x", b=1)


def test_bad_syntax_is_told_with_line_and_column() -> None:
    with pytest.raises(BadCondition) as caught:
        compile_condition("a == 1 &&\n  b ==")
    assert (caught.value.line, caught.value.column) == (2, 7)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("a and b", "'&&'"),
        ("not a", "'!'"),
        ("a or b", "'||'"),
        ("a = 1", "'=='"),
    ],
)
def test_python_habits_get_a_hint(text: str, hint: str) -> None:
    with pytest.raises(BadCondition) as caught:
        compile_condition(text)
    assert hint in (caught.value.hint or "")


def test_a_syntax_error_of_no_known_habit_has_no_hint() -> None:
    with pytest.raises(BadCondition) as caught:
        compile_condition("a ++ b)")
    assert caught.value.hint is None


@pytest.mark.parametrize(
    ("text", "column", "hint"),
    [("sizee(x) > 1", 1, "'size'"), ("a == 1 && frobnicate(b)", 11, "There are")],
)
def test_an_unknown_function_is_found_when_compiling(text: str, column: int, hint: str) -> None:
    with pytest.raises(BadCondition) as caught:
        compile_condition(text)
    assert caught.value.column == column
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("text", ["", "  ", ".x == 1", "Msg{a: 1} == 1 &&", "true) || (true"])
def test_texts_that_are_no_expression_are_refused(text: str) -> None:
    with pytest.raises(BadCondition):
        compile_condition(text)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(BadCondition):
        compile_condition(["a"])  # type: ignore[arg-type] # strangers send anything


def test_a_text_over_the_limit_is_refused() -> None:
    assert holds("true" + " " * (MAX_LENGTH - 4))
    with pytest.raises(BadCondition, match="characters"):
        compile_condition("true" + " " * MAX_LENGTH)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 50 + "true" + ")" * 50,
        "a.all(a, a.all(b, a.all(c, a.all(d, true))))",
        "a.map(x, x).map(x, x).map(x, x).map(x, x).size() == 1",
        "'a' " + "+ 'a' " * 60 + "== 'a'",
        "a.map(x, x + x + x).map(x, x + x + x).exists(x, x == x + x + x + x + x + x)",
    ],
)
def test_texts_that_could_blow_up_are_refused(text: str) -> None:
    with pytest.raises(BadCondition, match="at most"):
        compile_condition(text)


def test_macros_over_long_lists_are_refused_when_they_meet_them() -> None:
    nested = compile_condition("a.exists(x, a.exists(y, x == y && false))")
    assert nested.holds({"a": list(range(100))}) is False
    with pytest.raises(ConditionError, match=r"2,000 elements"):
        nested.holds({"a": list(range(2_000))})


def test_a_long_list_under_one_macro_is_fine() -> None:
    assert holds("a.exists(x, x == 9999)", a=list(range(10_000)))


def test_the_value_of_an_expression_is_handed_out() -> None:
    condition = compile_condition("rows.filter(r, r.n > 1).map(r, r.n)")
    assert condition.value({"rows": [{"n": 1}, {"n": 2}]}) == [2]


def test_a_value_that_would_not_fit_into_memory_is_refused() -> None:
    with pytest.raises(ConditionError, match="elements"):
        compile_condition("rows.map(r, rows)").value({"rows": list(range(5_000))})


def test_the_longest_list_is_found_however_deep() -> None:
    assert longest_list({"a": [{"b": [1, 2, 3, 4]}], "c": (1,)}) == 4


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (None, "always"),
        ("", "always"),
        ("  ", "always"),
        ("intent", "intent"),
        (" intent ", "intent"),
        ("else", "else"),
        ("intent == 'a'", "cel"),
        ("true", "cel"),
    ],
)
def test_the_kinds_of_edge_conditions(text: str | None, kind: str) -> None:
    assert edge_condition_kind(text, ("a", "b")) == kind


def test_a_condition_tells_its_text() -> None:
    assert "a == 1" in repr(compile_condition("a == 1"))
    assert isinstance(compile_condition("a == 1"), Condition)
