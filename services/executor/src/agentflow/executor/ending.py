"""How an execution ends: one terminal event, one result to whoever asked."""

from datetime import datetime
from typing import Any

from agentflow.contracts.events import (
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionEnded,
    ExecutionFailed,
    ExecutionStarted,
    ExecutionTimedOut,
)
from agentflow.contracts.problem import Issue, NodeError
from agentflow.contracts.replies import ExecutionResult
from agentflow.contracts.status import ExecutionStatus

_EVENTS: dict[ExecutionStatus, type[ExecutionEnded]] = {
    event.STATUS: event
    for event in (ExecutionCompleted, ExecutionFailed, ExecutionCancelled, ExecutionTimedOut)
}


def ended_event(
    started: ExecutionStarted,
    status: ExecutionStatus,
    final_state: dict[str, Any],
    now: datetime,
    error: NodeError | None = None,
    warnings: tuple[str, ...] = (),
    issues: tuple[Issue, ...] = (),
) -> ExecutionEnded:
    """The terminal event of an execution that was started."""
    tokens = final_state.get("tokens_used")
    cost = final_state.get("cost")
    more: dict[str, Any] = {"issues": issues} if status is ExecutionStatus.FAILED else {}
    return _EVENTS[status](
        tenant=started.tenant,
        execution_id=started.execution_id,
        occurred_at=now,
        final_state=final_state,
        tokens_used=tokens if isinstance(tokens, int) else 0,
        cost=float(cost) if isinstance(cost, int | float) else None,
        duration_ms=max(0.0, (now - started.occurred_at).total_seconds() * 1000),
        workflow_name=started.workflow_name,
        requested_by=started.requested_by,
        tags=started.tags,
        error=error,
        warnings=warnings,
        **more,
    )


def result_of(ended: ExecutionEnded) -> ExecutionResult:
    """What the caller is told."""
    return ExecutionResult(
        execution_id=ended.execution_id,
        status=ended.STATUS,
        final_state=ended.final_state,
        execution_time=ended.duration_ms / 1000,
        tokens_used=ended.tokens_used,
        cost=ended.cost,
        error=ended.error,
        warnings=ended.warnings,
    )
