"""The input node: every problem of what came in, at once."""

from typing import Any

import pytest

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node
from agentflow.engine.nodes import run_pure_node


def check(validation: Any, state: dict[str, Any]) -> list[str]:
    node = Node(id="in", type="input", metadata={"validation": validation})
    try:
        result = run_pure_node(node, state)
    except NodeFailed as failure:
        if failure.error_code != "invalid_input" or failure.retryable:
            raise
        return list(failure.details["problems"])
    assert result == NodeResult()
    return []


def test_without_validation_anything_goes() -> None:
    assert run_pure_node(Node(id="in", type="input"), {}).output is None


@pytest.mark.parametrize("given", [{}, {"user_input": None}, {"user_input": "  "}])
def test_required_wants_a_user_input(given: dict[str, Any]) -> None:
    assert check({"required": True}, given) == ["user_input is required"]


@pytest.mark.parametrize("given", ["x", 0, False, {"a": 1}])
def test_any_value_but_a_blank_one_is_there(given: Any) -> None:
    assert check({"required": True}, {"user_input": given}) == []


def test_lengths_are_characters_and_inclusive() -> None:
    limits = {"min_length": 2, "max_length": 3}
    assert check(limits, {"user_input": "äö"}) == []
    assert check(limits, {"user_input": "äöü"}) == []
    assert len(check(limits, {"user_input": "ä"})) == 1
    assert len(check(limits, {"user_input": "äöüß"})) == 1
    assert check(limits, {}) == []


def test_the_length_of_what_is_no_text_is_that_of_its_json() -> None:
    assert len(check({"max_length": 5}, {"user_input": {"a": 1}})) == 1


def test_required_fields_are_looked_up_in_the_state_then_in_user_input() -> None:
    wanted = {"required_fields": ["city", "customer.id", "name"]}
    state = {"city": "Graz", "user_input": {"customer": {"id": 7}, "name": ""}}
    assert check(wanted, state) == ["the field 'name' is required"]


def test_required_fields_of_a_text_input_are_looked_up_in_the_state_only() -> None:
    assert len(check({"required_fields": ["a"]}, {"user_input": "a"})) == 1


def test_a_schema_describes_user_input() -> None:
    schema = {"type": "string", "pattern": "^[A-Z]"}
    assert check({"schema": schema}, {"user_input": "Abc"}) == []
    assert len(check({"schema": schema}, {"user_input": "abc"})) == 1


def test_a_schema_that_names_user_input_describes_the_state() -> None:
    schema = {"type": "object", "properties": {"user_input": {"type": "integer"}}}
    assert check({"schema": schema}, {"user_input": 5}) == []
    assert len(check({"schema": schema}, {"user_input": {"x": 1}})) == 1
    assert len(check({"schema": {"required": ["user_input"]}}, {"a": 1})) == 1


def test_a_schema_of_an_object_describes_the_state_when_the_input_is_none() -> None:
    schema = {"type": "object", "required": ["order"]}
    assert check({"schema": schema}, {"user_input": "text", "order": 1}) == []
    assert check({"schema": schema}, {"user_input": {"order": 1}}) == []
    assert len(check({"schema": schema}, {"user_input": {"a": 1}, "order": 1})) == 1
    assert check({"schema": schema}, {"order": 1, "outputs": {}}) == []


def test_what_the_walk_adds_to_the_state_is_not_described() -> None:
    schema = {"type": "object", "additionalProperties": False, "properties": {"a": {}}}
    assert check({"schema": schema}, {"a": 1, "outputs": {}, "execution_path": []}) == []


def test_a_schema_may_be_true_or_false() -> None:
    assert check({"schema": True}, {"user_input": 1}) == []
    assert len(check({"schema": False}, {"user_input": 1})) == 1


def test_all_problems_are_told_at_once() -> None:
    validation = {"min_length": 10, "required_fields": ["a", "b"], "schema": {"type": "integer"}}
    assert len(check(validation, {"user_input": "short"})) == 4


def test_metadata_that_cannot_be_used_fails_the_node() -> None:
    for validation in ({"min_length": -1}, {"schema": {"type": "nope"}}, "yes"):
        node = Node(id="in", type="input", metadata={"validation": validation})
        with pytest.raises(NodeFailed) as caught:
            run_pure_node(node, {})
        assert caught.value.error_code in ("invalid_config", "bad_schema")
