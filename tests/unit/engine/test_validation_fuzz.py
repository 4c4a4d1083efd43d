"""Validation: whatever a document holds, it gives issues and never raises."""

import copy
import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agentflow.contracts.errors import InvalidSpec
from agentflow.engine.plan import compile_plan
from agentflow.engine.validation import CODES, Checked, validate_node, validate_spec

SEED: dict[str, Any] = {
    "name": "seed",
    "version": "2",
    "metadata": {"a": [1]},
    "start_node": "in",
    "budget": {"usd": 1.5},
    "nodes": [
        {
            "id": "in",
            "type": "input",
            "metadata": {"validation": {"required": True, "schema": {"type": "string"}}},
        },
        {
            "id": "r",
            "type": "router",
            "metadata": {
                "strategy": "rules",
                "routes": [{"intent": "a", "condition": "contains('x')"}],
                "default_intent": "l",
            },
        },
        {
            "id": "a",
            "type": "aggregator",
            "metadata": {
                "strategy": "template",
                "template": "{user_input} {outputs.l}",
                "custom_fields": {"x": "{y}"},
            },
        },
        {
            "id": "l",
            "type": "llm",
            "source": "m",
            "retry": {"max_attempts": 2},
            "on_error": {"goto": "a"},
            "metadata": {
                "prompt": "{{ x }}",
                "template_engine": "jinja",
                "response_schema": {"type": "object"},
            },
        },
        {
            "id": "d",
            "type": "db",
            "when": "intent == 'a'",
            "metadata": {"source_id": "d", "query": "SELECT 1", "params": {"p": "{x.0}"}},
        },
    ],
    "edges": [
        {"from": "in", "to": "r"},
        {"from": "r", "to": ["a", "l"], "condition": "intent"},
        {"from": "r", "to": "d", "condition": "size(user_input) > 3", "queue": "q"},
        {"from": "d", "to": "END", "condition": "else"},
    ],
    "queues": [{"id": "q", "from": "r", "to": ["d"], "bandwidth": {"max_messages_per_second": 5}}],
    "sources": [
        {"id": "m", "kind": "llm", "config": {"provider": "demo"}},
        {"id": "d", "kind": "db", "config": {"connection_string_env": "X"}},
    ],
}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=True)
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "in",
            "a",
            "END",
            "intent",
            "else",
            "{x}",
            "{{ y",
            "==",
            "(",
            "sk-" + "a" * 30,
            "x" * 300,
            "\x00",
            "\ud800",
        ]
    )
)
KEYS = st.text(max_size=5) | st.sampled_from(
    [
        "id",
        "type",
        "from",
        "to",
        "metadata",
        "config",
        "on_error",
        "goto",
        "retry",
        "when",
        "source",
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        found += places(item, (*path, key))
    return found


PLACES = places(SEED)


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """The seed with up to four places changed, taken out, doubled or added to."""
    document = copy.deepcopy(SEED)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=4)):
        holder: Any = document
        try:
            for step in path[:-1]:
                holder = holder[step]
            change(draw, holder, path[-1])
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    return document


def change(draw: st.DrawFn, holder: Any, key: Any) -> None:
    what = draw(st.sampled_from(["change", "change", "take", "double", "add"]))
    if what == "take":
        del holder[key]
    elif what == "double" and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif what == "add" and isinstance(holder, dict):
        holder[draw(KEYS)] = draw(VALUES)
    else:
        holder[key] = draw(VALUES)


def hold(checked: Checked) -> None:
    """What is true of every check."""
    assert checked.valid == (checked.spec is not None and not checked.errors)
    for issue in (*checked.errors, *checked.warnings):
        assert issue.code in CODES
        assert issue.message
        assert issue.hint or issue.code == "too_many_issues"
        assert issue.severity == CODES[issue.code].severity
    assert all(issue.severity == "error" for issue in checked.errors)
    assert "sk-" + "a" * 30 not in json.dumps([issue.message for issue in checked.errors])


def test_the_seed_itself_is_valid() -> None:
    assert validate_spec(SEED).errors == ()


@settings(
    max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(mutated())
def test_a_damaged_spec_gives_issues_and_never_raises(document: Any) -> None:
    checked = validate_spec(document, text=repr(document))
    hold(checked)
    hold(validate_node(document, "l"))


@settings(max_examples=200)
@given(VALUES)
@example(
    {"nodes": [None, [], {}, {"id": None}, {"id": []}, {"id": {}}], "edges": [{}, {"to": [[]]}]}
)
@example({"nodes": [{"id": "x" * 100_000, "type": "input"}], "start_node": "y" * 100_000})
@example({"start_node": {}, "nodes": [{"id": "a", "type": [], "metadata": None}], "sources": [[]]})
def test_any_json_gives_issues_and_never_raises(document: Any) -> None:
    checked = validate_spec(document)
    hold(checked)
    assert not checked.valid


@settings(max_examples=300)
@given(mutated())
def test_what_is_called_valid_can_be_planned_and_what_can_not_is_not(document: Any) -> None:
    checked = validate_spec(document)
    if checked.spec is None:
        return
    plannable = True
    try:
        compile_plan(checked.spec)
    except InvalidSpec:
        plannable = False
    assert plannable or not checked.valid
