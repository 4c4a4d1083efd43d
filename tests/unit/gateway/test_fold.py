"""An execution read from its log."""

from datetime import UTC, datetime, timedelta
from typing import Any

from agentflow.contracts.events import (
    CancelRequested,
    CommandAccepted,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionStarted,
    NodeCompleted,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeTimedOut,
)
from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.gateway.fold import fold
from agentflow.storage.views import ExecutionDetail

T0 = datetime(2026, 11, 21, tzinfo=UTC)
WHO: dict[str, Any] = {"tenant": TenantId("acme"), "execution_id": ExecutionId("exec_1")}
ERROR = NodeError(code="boom", message="no")


def at(second: int) -> dict[str, Any]:
    return {**WHO, "occurred_at": T0 + timedelta(seconds=second)}


def node(name: str, attempt: int = 1) -> dict[str, Any]:
    return {"node_id": NodeId(name), "node_type": "llm", "attempt": attempt, "started_at": T0}


def started(second: int = 1) -> ExecutionStarted:
    return ExecutionStarted(
        **at(second),
        executor_id="e",
        workflow_name="wf",
        definition_hash="h",
        node_count=2,
        initial_state={"x": 1},
        deadline=T0,
    )


def ended(second: int = 9) -> ExecutionCompleted:
    return ExecutionCompleted(**at(second), final_state={"y": 2}, duration_ms=8000, tokens_used=3)


def told(*events: Event) -> ExecutionDetail:
    found = fold("exec_1", enumerate(events, 1))
    assert found is not None
    return found


def test_an_empty_log_is_no_execution() -> None:
    assert fold("exec_1", []) is None


def test_an_accepted_command_is_pending_and_a_started_one_runs() -> None:
    accepted = CommandAccepted(**at(0), workflow_name="said", tags=("t",))
    assert told(accepted).status is ExecutionStatus.PENDING
    running = told(accepted, started())
    assert (running.status, running.workflow_name) == (ExecutionStatus.RUNNING, "wf")
    assert (running.created_at, running.tags) == (T0, ("t",))


def test_accepted_after_started_or_ended_changes_no_status() -> None:
    """The gateway tells it beside the executor's first events: any order is right."""
    accepted = CommandAccepted(**at(2), workflow_name="said")
    assert told(started(), accepted).status is ExecutionStatus.RUNNING
    assert told(started(), accepted).workflow_name == "wf"
    assert told(started(), ended(), accepted).status is ExecutionStatus.COMPLETED


def test_the_first_end_counts() -> None:
    late = ExecutionCancelled(**at(10), final_state={}, duration_ms=1)
    found = told(started(), ended(), late)
    assert (found.status, found.final_state) == (ExecutionStatus.COMPLETED, {"y": 2})
    assert (found.duration_ms, found.tokens_used, found.ended_seq) == (8000, 3, 2)


def test_every_attempt_is_kept_and_the_first_outcome_counts() -> None:
    retry = NodeRetrying(**at(2), **node("a"), error=ERROR, delay_seconds=1)
    done = NodeCompleted(**at(3), **node("a", 2), output="first")
    again = NodeCompleted(**at(4), **node("a", 3), output="second")
    [found] = told(started(), retry, done, again).nodes
    assert (found.status, found.output) == (NodeStatus.COMPLETED, "first")
    assert [a.ignored for a in found.attempts] == [False, False, True]
    assert found.attempts[0].retry_delay_seconds == 1


def test_a_result_after_the_cancel_is_ignored() -> None:
    done = NodeCompleted(**at(4), **node("a"), output="late")
    cancelled = ExecutionCancelled(**at(5), final_state={}, duration_ms=1)
    asked = CancelRequested(**at(3), requested_by="me", reason="enough")
    found = told(started(), asked, done, cancelled)
    assert (found.cancel_requested_by, found.cancel_reason) == ("me", "enough")
    assert found.nodes[0].status is NodeStatus.CANCELLED
    assert found.nodes[0].attempts[0].ignored


def test_running_skipped_and_timed_out_nodes_say_so() -> None:
    found = told(
        started(),
        NodeStarted(**at(2), **node("a")),
        NodeSkipped(**at(2), **node("b"), reason="no way in"),
        NodeTimedOut(**at(3), **node("c"), error=ERROR),
    )
    assert [n.status for n in found.nodes] == [
        NodeStatus.RUNNING,
        NodeStatus.SKIPPED,
        NodeStatus.TIMED_OUT,
    ]
    assert found.nodes[1].reason == "no way in"
