"""The simple template form: placeholders filled once, every other brace left alone."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.errors import NodeFailed
from agentflow.engine import templates
from agentflow.engine.errors import BadTemplate, TemplateFailed
from agentflow.engine.templates import MISSING, compile_template, look_up

STATE: dict[str, Any] = {
    "name": "Ines",
    "n": 3,
    "none": None,
    "yes": True,
    "rows": [{"a": 1}, {"a": "ä"}],
    "deep": {"list": [10, {"x": "y"}], "0": "zero"},
    "evil": "{name}",
}


@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("Dear {name},", "Dear Ines,"),
        ("{n} {none} {yes}", "3 null true"),
        ("{rows}", '[{"a": 1}, {"a": "ä"}]'),
        ("{deep.list.1.x} {deep.list.0} {deep.0}", "y 10 zero"),
        ('{ "valid": true }', '{ "valid": true }'),
        ('{"a": {"b": {"c": "{name}"}}}', '{"a": {"b": {"c": "Ines"}}}'),
        ('{"a": {"b": {name}}}', '{"a": {"b": Ines}}'),
        ("{{name}} is {name}", "{name} is Ines"),
        ('{{"a": {{"b": {name}}}}}', '{"a": {"b": Ines}}'),
        ("{{{name}}}", "{Ines}"),
        ("}} {{", "}} {"),
        ("{} { name } {name }", "{} { name } {name }"),
        ("{evil}", "{name}"),
        ("", ""),
        ("no places", "no places"),
    ],
)
def test_what_comes_out(text: str, gives: str) -> None:
    assert compile_template(text).render(STATE) == (gives, ())


@pytest.mark.parametrize("name", ["unknown", "deep.list.9", "deep.missing", "name.x", "rows.a"])
def test_an_unknown_placeholder_stays_and_is_warned_of_once(name: str) -> None:
    rendered = compile_template(f"{{{name}}} and {{{name}}}").render(STATE)
    assert rendered.text == f"{{{name}}} and {{{name}}}"
    assert len(rendered.warnings) == 1
    assert name in rendered.warnings[0]


def test_names_are_the_top_level_keys() -> None:
    assert compile_template("{a.b} {c} {{d}} {a} { e }").names == frozenset({"a", "c"})


def test_names_may_be_in_any_script() -> None:
    assert compile_template("{größe} {user-id}").render({"größe": 1, "user-id": 2}).text == "1 2"


@given(st.text(alphabet='{}"ab.: \n', max_size=60))
def test_no_text_is_wrong_and_a_text_without_known_names_only_loses_doubled_braces(
    text: str,
) -> None:
    rendered = compile_template(text).render({})
    if "{{" not in text:
        assert rendered.text == text


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.text(max_size=20), max_size=2))
def test_what_was_inserted_is_not_read_again(state: dict[str, str]) -> None:
    expected = f"{state.get('a', '{a}')}|{state.get('b', '{b}')}"
    assert compile_template("{a}|{b}").render(state).text == expected


def test_a_result_over_the_limit_fails_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MAX_OUTPUT", 100)
    assert compile_template("{x}").render({"x": "a" * 100}).text
    with pytest.raises(TemplateFailed) as caught:
        compile_template("{x}{x}").render({"x": "a" * 60})
    assert caught.value.error_code == "payload_too_large"
    assert isinstance(caught.value, NodeFailed)


def test_what_is_no_template_is_refused() -> None:
    bad: Any
    for bad in (None, 3, ["{a}"], "x" * (templates.MAX_LENGTH + 1)):
        with pytest.raises(BadTemplate):
            compile_template(bad)
    with pytest.raises(BadTemplate, match="engine"):
        compile_template("x", "mustache")
    with pytest.raises(BadTemplate, match="engine"):
        compile_template("x", ["jinja"])  # type: ignore[arg-type] # strangers send anything


def test_looking_up_what_leads_nowhere() -> None:
    assert look_up([1], ("9" * 30,)) is MISSING
    assert look_up("text", ("0",)) is MISSING
    assert look_up([1], ("-1",)) is MISSING
