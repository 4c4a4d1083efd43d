"""The aggregator: brings results together, and a skipped branch never fails it."""

from typing import Any

import pytest

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node
from agentflow.engine.nodes import run_pure_node

STATE: dict[str, Any] = {
    "user_input": "hi",
    "k": "v",
    "obj": {"x": 1, "y": {"z": [7]}},
    "nothing": None,
    "outputs": {"a": {"x": 2, "n": 1}, "b": "text", "skipped": None},
    "execution_path": ["a", "b"],
    "tokens_used": 12,
    "cost": 0.5,
}


def run(state: dict[str, Any] = STATE, **metadata: Any) -> NodeResult:
    return run_pure_node(Node(id="agg", type="aggregator", metadata=metadata), state)


def bare(**metadata: Any) -> Any:
    return run(include_metadata=False, **metadata).output


def test_merge_takes_all_outputs_when_no_keys_are_named() -> None:
    assert bare() == {"x": 2, "n": 1, "b": "text"}


def test_merge_lets_later_objects_win_and_keeps_others_under_their_key() -> None:
    assert bare(source_keys=["obj", "a", "k", "obj.y.z", "gone", "nothing"]) == {
        "x": 2,
        "y": {"z": [7]},
        "n": 1,
        "k": "v",
        "obj.y.z": [7],
    }


def test_a_key_can_be_a_state_key_a_path_or_a_node() -> None:
    keys = ["k", "obj.y.z.0", "b", "a.n", "outputs.a.x", "skipped", "gone"]
    assert bare(strategy="select", source_keys=keys) == {
        "k": "v",
        "obj.y.z.0": 7,
        "b": "text",
        "a.n": 1,
        "outputs.a.x": 2,
    }


def test_concat_joins_texts_and_json() -> None:
    assert bare(strategy="concat", source_keys=["k", "obj", "gone"], separator=" | ") == (
        'v | {"x": 1, "y": {"z": [7]}}'
    )
    assert bare(strategy="concat") == '{"x": 2, "n": 1}\ntext'


def test_priority_takes_the_first_that_is_there() -> None:
    assert bare(strategy="priority", priority_order=["gone", "nothing", "k", "b"]) == "v"
    assert bare(strategy="priority", source_keys=["gone", "b"]) == "text"
    result = run(strategy="priority", priority_order=["gone"], include_metadata=False)
    assert result.output is None
    assert result.warnings


def test_template_renders_the_state_and_passes_warnings_on() -> None:
    result = run(strategy="template", template="{k} {outputs.b} {gone}", include_metadata=False)
    assert result.output == "v text {gone}"
    assert "gone" in result.warnings[0]
    jinja = {"template": "{% for q in obj.y.z %}{{ q }}{% endfor %}", "template_engine": "jinja"}
    assert bare(strategy="template", **jinja) == "7"


def test_expression_gives_its_value() -> None:
    assert bare(strategy="expression", expression="obj.x + 1") == 2
    assert bare(strategy="expression", expression="{'a': k, 'b': [obj.x]}") == {"a": "v", "b": [1]}


def test_metadata_is_wrapped_around_by_default() -> None:
    result = run(strategy="select", source_keys=["k"], custom_fields={"format": 2})
    assert result.output_key == "final_output"
    assert result.output == {
        "format": 2,
        "result": {"k": "v"},
        "execution_path": ["a", "b"],
        "tokens_used": 12,
        "cost": 0.5,
    }


def test_an_empty_state_is_no_problem() -> None:
    assert run({}).output == {"result": {}, "execution_path": [], "tokens_used": 0, "cost": 0}


def test_custom_fields_are_filled_and_keep_types() -> None:
    fields = {
        "whole": "{obj}",
        "part": "is {k}",
        "deep": [{"n": "{obj.x}"}],
        "gone": "{gone}",
        "n": 1,
    }
    result = run(strategy="select", source_keys=["k"], custom_fields=fields)
    assert {key: result.output[key] for key in fields} == {
        "whole": STATE["obj"],
        "part": "is v",
        "deep": [{"n": 1}],
        "gone": "{gone}",
        "n": 1,
    }
    assert "gone" in result.warnings[0]


def test_custom_fields_hide_nothing() -> None:
    assert run(custom_fields={"result": "mine"}).output["result"] != "mine"


def test_the_execution_path_handed_out_is_a_copy() -> None:
    run().output["execution_path"].append("x")
    assert STATE["execution_path"] == ["a", "b"]


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"strategy": "template"}, "invalid_config"),
        ({"strategy": "expression"}, "invalid_config"),
        ({"strategy": "sum"}, "invalid_config"),
        ({"source_keys": "k"}, "invalid_config"),
        ({"strategy": "expression", "expression": "1 +"}, "bad_condition"),
        ({"strategy": "expression", "expression": "gone.x"}, "expression_failed"),
        ({"strategy": "template", "template": "{{", "template_engine": "jinja"}, "bad_template"),
        (
            {"strategy": "template", "template": "{{ no }}", "template_engine": "jinja"},
            "template_failed",
        ),
    ],
)
def test_what_cannot_be_done_fails_the_node(metadata: dict[str, Any], code: str) -> None:
    with pytest.raises(NodeFailed) as caught:
        run(**metadata)
    assert caught.value.error_code == code
