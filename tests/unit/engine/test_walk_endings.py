"""Failures and how nodes answer for them; how an execution ends, exactly once."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.events import ExecutionCancelled, ExecutionCompleted
from agentflow.contracts.ids import NodeId
from agentflow.contracts.result import NodeResult, Usage
from agentflow.contracts.spec import Node
from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.engine import walk
from agentflow.engine.fold import final_state
from tests.support.specs import Json, chain, fan, llm
from tests.support.walks import (
    NOW,
    Fleet,
    cancel_requested,
    completed,
    failed,
    plan_of,
    run_walk,
    started,
    timed_out,
)


def two_ways(**settings: Any) -> Json:
    """a fails; b follows it, c is elsewhere."""
    return {
        "start_node": "a",
        "nodes": [llm("a", fails=True, **settings), llm("b"), llm("c")],
        "edges": [{"from": "a", "to": "b"}, {"from": "a", "to": "c", "condition": "false"}],
    }


def finish_of(fleet: Fleet) -> walk.Finish:
    assert len(fleet.finishes) == 1
    return fleet.finishes[0]


def ended(state: walk.WalkState) -> dict[str, Any]:
    """A terminal event's common fields."""
    return {
        "tenant": "t",
        "execution_id": "e",
        "occurred_at": NOW,
        "final_state": {},
        "duration_ms": 1.0,
    }


def test_a_failure_ends_the_execution_with_the_nodes_error_and_partial_state() -> None:
    fleet = run_walk({**chain(3), "nodes": [llm("n0"), llm("n1", fails=True), llm("n2")]})
    finish = finish_of(fleet)
    assert finish.status is ExecutionStatus.FAILED
    assert finish.error is not None
    assert (finish.error.code, finish.error.node_id) == ("told_to_fail", "n1")
    assert final_state(fleet.state)["execution_path"] == ["n0", "n1"]
    assert fleet.state.failures()[NodeId("n1")] == finish.error


def test_a_failure_does_not_wait_for_what_else_is_running() -> None:
    fleet = Fleet(plan_of(fan(3)), {})
    fleet.work(0)
    fleet.hear(failed("m1"))
    assert finish_of(fleet).status is ExecutionStatus.FAILED
    assert fleet.state.summary() == {
        "first": NodeStatus.COMPLETED,
        "m0": NodeStatus.CANCELLED,
        "m1": NodeStatus.FAILED,
        "m2": NodeStatus.CANCELLED,
        "last": NodeStatus.PENDING,
    }


def test_a_nodes_timeout_is_a_failure_that_says_so() -> None:
    state, _ = walk.start(plan_of(chain(2)), {})
    state, effects = walk.decide(state, timed_out("n0"))
    assert effects == [walk.Finish(ExecutionStatus.FAILED, timed_out("n0").error)]
    assert state.status("n0") is NodeStatus.TIMED_OUT


def test_continue_goes_on_with_the_error_in_the_state() -> None:
    fleet = run_walk(two_ways(on_error="continue"))
    assert finish_of(fleet).status is ExecutionStatus.COMPLETED
    [error] = fleet.shown["b"]["errors"]
    assert (error["node_id"], error["code"]) == ("a", "told_to_fail")
    assert "outputs" not in fleet.shown["b"]
    assert fleet.state.status("a") is NodeStatus.FAILED


def test_default_stands_in_for_the_output() -> None:
    fleet = run_walk(two_ways(on_error={"default": {"n": [1]}}))
    assert fleet.shown["b"]["outputs"] == {"a": {"n": [1]}}
    assert fleet.shown["b"]["text_result"] == {"n": [1]}
    assert fleet.shown["b"]["errors"][0]["node_id"] == "a"


def test_default_goes_where_the_node_would_have_written() -> None:
    fleet = run_walk(two_ways(on_error={"default": 1}, output_key="y"))
    assert fleet.shown["b"]["y"] == 1
    assert "text_result" not in fleet.shown["b"]


def test_goto_goes_there_instead_of_along_the_nodes_own_edges() -> None:
    fleet = run_walk(two_ways(on_error={"goto": "c"}))
    assert final_state(fleet.state)["execution_path"] == ["a", "c"]
    assert fleet.shown["c"]["errors"][0]["code"] == "told_to_fail"


def test_goto_is_not_taken_when_all_is_well() -> None:
    spec = two_ways(on_error={"goto": "c"})
    spec["nodes"][0] = llm("a", on_error={"goto": "c"})
    assert final_state(run_walk(spec).state)["execution_path"] == ["a", "b"]


def test_goto_end_leaves_the_branch() -> None:
    fleet = run_walk(two_ways(on_error={"goto": "END"}))
    assert final_state(fleet.state)["execution_path"] == ["a"]
    assert finish_of(fleet).status is ExecutionStatus.COMPLETED


def test_a_condition_that_cannot_be_decided_names_edge_expression_and_reason() -> None:
    spec = chain(2)
    spec["edges"][0]["condition"] = "size(nothing) > 1"
    error = finish_of(run_walk(spec)).error
    assert error is not None
    assert error.code == "condition_error"
    assert error.details["edge"] == {"from": "n0", "to": ["n1"]}
    assert error.details["expression"] == "size(nothing) > 1"
    assert error.details["reason"]
    assert "n0 → n1" in error.message


def test_a_when_that_cannot_be_decided_names_the_node() -> None:
    spec = {**chain(2), "nodes": [llm("n0"), llm("n1", when="x + 1")]}
    error = finish_of(run_walk(spec)).error
    assert error is not None
    assert (error.code, error.node_id) == ("condition_error", "n1")
    assert error.details["expression"] == "x + 1"


def test_cancel_ends_it_and_nothing_is_dispatched_after_it() -> None:
    fleet = Fleet(plan_of(chain(3)), {})
    fleet.work(0)
    fleet.hear(cancel_requested(requested_by="ann", reason="changed my mind"))
    error = finish_of(fleet).error
    assert error is not None
    assert error.message == "The execution was cancelled by ann: changed my mind."
    assert finish_of(fleet).status is ExecutionStatus.CANCELLED
    fleet.hear(completed("n1"))
    assert fleet.dispatched == ["n0", "n1"]
    assert final_state(fleet.state)["execution_path"] == ["n0"]


def test_the_deadline_ends_it_and_names_who_is_still_running() -> None:
    deadline = datetime(2026, 1, 1, 12, tzinfo=UTC)
    state, _ = walk.start(plan_of(fan(30)), {}, deadline=deadline)
    state, _ = walk.decide(state, completed("first"))
    state, effects = walk.decide(state, walk.DeadlinePassed(NOW))
    [finish] = effects
    assert isinstance(finish, walk.Finish)
    assert finish.status is ExecutionStatus.TIMED_OUT
    assert finish.error is not None
    assert "2026-01-01T12:00:00+00:00" in finish.error.message
    assert "m0, m1," in finish.error.message
    assert finish.error.message.endswith("m19, ….")
    assert len(finish.error.details["running"]) == 30


def test_a_deadline_while_nothing_runs_says_that() -> None:
    state, _ = walk.start(plan_of(chain(1)), {})
    state = walk.replay(state, [completed("n0")])
    assert walk.decide(state, walk.DeadlinePassed(NOW))[1] == []
    spec = {**chain(2), "nodes": [llm("n0"), llm("n1", when="big == 'x'")]}
    reference = {"$ref": "agentflow-object:1", "size": 9, "type": "json"}
    state, _ = walk.start(plan_of(spec), {"big": reference})
    state = walk.replay(state, [completed("n0")])
    [finish] = walk.decide(state, walk.DeadlinePassed(NOW))[1]
    assert isinstance(finish, walk.Finish)
    assert finish.error is not None
    assert "no node was running" in finish.error.message


def spend(node: Node, _: Json) -> NodeResult:
    usage = node.metadata.get("usage")
    return NodeResult(
        writes=node.metadata.get("writes", {}),
        usage=Usage.model_validate(usage) if usage else None,
    )


@pytest.mark.parametrize(
    ("budget", "metadata"),
    [
        ({"tokens": 5}, {"writes": {"tokens_used": 3}}),
        ({"usd": 0.5}, {"writes": {"cost": 0.3}}),
        ({"tokens": 5}, {"usage": {"prompt_tokens": 2, "completion_tokens": 1}}),
        ({"usd": 0.5}, {"usage": {"cost": 0.3}}),
        ({"usd": 0.5, "tokens": 100}, {"writes": {"cost": 0.3, "tokens_used": 1}}),
    ],
)
def test_a_budget_that_is_spent_ends_the_execution(budget: Json, metadata: Json) -> None:
    spec = {**chain(4), "budget": budget, "nodes": [llm(f"n{i}", **metadata) for i in range(4)]}
    fleet = run_walk(spec, runner=spend)
    error = finish_of(fleet).error
    assert error is not None
    assert (error.code, error.node_id) == ("budget_exceeded", "n1")
    assert fleet.dispatched == ["n0", "n1"]


def test_a_budget_just_reached_is_not_exceeded() -> None:
    nodes = [llm("n0", writes={"tokens_used": 5, "cost": None}), llm("n1", writes={"cost": True})]
    fleet = run_walk(
        {**chain(2), "budget": {"tokens": 5, "usd": 0.1}, "nodes": nodes}, runner=spend
    )
    assert finish_of(fleet).status is ExecutionStatus.COMPLETED


def test_after_the_finish_nothing_changes_any_more() -> None:
    fleet = Fleet(plan_of(fan(3)), {})
    fleet.work(0)
    fleet.hear(failed("m0"))
    before = final_state(fleet.state)
    for event in (completed("m1", 1), failed("m2"), cancel_requested(), started("m1")):
        assert walk.decide(fleet.state, event)[1] == []
    assert walk.decide(fleet.state, walk.DeadlinePassed(NOW))[1] == []
    assert final_state(fleet.state) == before
    assert finish_of(fleet) == fleet.state.finish


def test_a_finish_not_in_the_log_yet_is_asked_for_again_by_resume() -> None:
    fleet = run_walk(chain(2))
    assert walk.resume(fleet.state) == [walk.Finish(ExecutionStatus.COMPLETED)]
    state, effects = walk.decide(fleet.state, ExecutionCompleted(**ended(fleet.state)))
    assert effects == []
    assert walk.resume(state) == []


def test_the_log_says_how_it_ended_whatever_the_walk_makes_of_it() -> None:
    fleet = run_walk(chain(2))
    state, _ = walk.decide(fleet.state, ExecutionCancelled(**ended(fleet.state)))
    state, _ = walk.decide(state, ExecutionCompleted(**ended(fleet.state)))
    assert state.finish is not None
    assert state.finish.status is ExecutionStatus.CANCELLED


def test_an_error_a_runner_raises_keeps_its_hint_and_details_in_the_state() -> None:
    def refuse(node: Node, _: Json) -> NodeResult:
        raise NodeFailed("auth", "The key was refused.", hint="Set KEY.", details={"status": 401})

    fleet = run_walk({**chain(1), "nodes": [llm("n0", on_error="continue")]}, runner=refuse)
    assert final_state(fleet.state)["errors"] == [
        {
            "node_id": "n0",
            "code": "auth",
            "message": "The key was refused.",
            "hint": "Set KEY.",
            "details": {"status": 401},
        }
    ]
