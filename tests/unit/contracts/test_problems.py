"""How what went wrong is told: problems, node errors, replies, statuses."""

import inspect
import json

import pytest

from agentflow.contracts import errors
from agentflow.contracts.errors import (
    AgentflowError,
    BadInput,
    InvalidSpec,
    NodeFailed,
    OutcomeUnknown,
)
from agentflow.contracts.problem import Issue
from agentflow.contracts.replies import Accepted, ExecutionResult, PlanView, ValidationReport
from agentflow.contracts.result import Usage
from agentflow.contracts.state import REF_PREFIX, is_value_ref
from agentflow.contracts.status import ExecutionStatus, NodeStatus

ERRORS = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, AgentflowError) and cls is not NodeFailed
]


@pytest.mark.parametrize("cls", ERRORS, ids=lambda cls: cls.__name__)
def test_every_error_has_words_a_code_and_a_status(cls: type[AgentflowError]) -> None:
    problem = cls().to_problem()
    assert problem.detail == (cls.__doc__ or "").strip()
    assert problem.code == cls.code
    assert 400 <= problem.status <= 599
    assert problem.title == cls.code.replace("_", " ").capitalize()


def test_the_tree_in_the_docstring_names_every_error_with_its_status() -> None:
    tree = errors.__doc__ or ""
    for cls in ERRORS:
        line = next(line for line in tree.splitlines() if f" {cls.__name__}" in f" {line}")
        assert cls is AgentflowError or line.endswith(str(cls.status))


def test_codes_do_not_collide() -> None:
    assert len({cls.code for cls in ERRORS}) == len(ERRORS)


def test_a_hint_follows_the_message() -> None:
    error = OutcomeUnknown("The bus did not answer.", hint="Repeat with the same key.")
    problem = error.to_problem()
    assert problem.detail == "The bus did not answer. Repeat with the same key."
    assert str(error) == "The bus did not answer."
    assert (problem.status, problem.code) == (503, "outcome_unknown")


def test_bad_input_carries_all_its_issues() -> None:
    issues = [Issue(code="cycle", message="a → b → a", pointer="/edges/1", node_id="a")]
    problem = InvalidSpec("The workflow has 1 error.", issues=issues).to_problem()
    assert problem.errors == tuple(issues)
    assert BadInput("x").to_problem().errors == ()
    assert json.loads(problem.model_dump_json())["errors"][0]["pointer"] == "/edges/1"


def test_a_node_failure_says_where_which_attempt_and_whether_to_repeat() -> None:
    failed = NodeFailed(
        "rate_limited",
        "Slow down.",
        retryable=True,
        retry_after=3.5,
        hint="Wait.",
        details={"a": 1},
    )
    told = failed.to_node_error("n", 2)
    assert told.model_dump() == {
        "code": "rate_limited",
        "message": "Slow down.",
        "node_id": "n",
        "attempt": 2,
        "retryable": True,
        "retry_after": 3.5,
        "hint": "Wait.",
        "details": {"a": 1},
    }
    assert NodeFailed("timeout", "Cut.").to_node_error().details == {}


def test_replies_on_one_inbox_are_told_apart_by_kind() -> None:
    accepted = Accepted(execution_id="e")
    result = ExecutionResult.model_validate(
        {
            "execution_id": "e",
            "status": "COMPLETED",
            "final_state": {"a": None},
            "execution_time": 0.5,
        }
    )
    plan = PlanView(
        order=("a",),
        stages=(("a",),),
        critical_path=("a",),
        parallel_edges=(),
        definition_hash="h",
    )
    report = ValidationReport(valid=True, plan=plan)
    kinds = [json.loads(reply.encode())["kind"] for reply in (accepted, result, report)]
    assert kinds == ["accepted", "result", "validation"]
    assert json.loads(result.encode())["final_state"] == {"a": None}
    assert json.loads(accepted.encode())["status"] == "PENDING"


def test_tokens_of_a_call_add_up_and_unknown_cost_is_none() -> None:
    usage = Usage(prompt_tokens=3, completion_tokens=4, cached_tokens=2)
    assert usage.total_tokens == 7
    assert usage.cost is None


def test_terminal_statuses() -> None:
    running = {ExecutionStatus.PENDING, ExecutionStatus.RUNNING}
    assert {status for status in ExecutionStatus if not status.is_terminal} == running
    assert {status.value for status in NodeStatus if not status.is_terminal} == {
        "PENDING",
        "QUEUED",
        "RUNNING",
    }


@pytest.mark.parametrize(
    ("value", "is_ref"),
    [
        ({"$ref": f"{REF_PREFIX}x", "size": 1, "type": "str"}, True),
        ({"$ref": "#/definitions/x", "size": 1, "type": "str"}, False),
        ({"$ref": f"{REF_PREFIX}x", "size": 1}, False),
        ({"$ref": f"{REF_PREFIX}x", "size": 1, "type": "str", "more": 1}, False),
        ({"$ref": 7, "size": 1, "type": "str"}, False),
        ("agentflow-object:x", False),
        (None, False),
    ],
)
def test_only_our_own_references_are_references(value: object, is_ref: bool) -> None:
    assert is_value_ref(value) is is_ref
