"""Builders of events as an executor and its workers would publish them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from agentflow.contracts.events import (
    CancelRequested,
    CommandAccepted,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionResumed,
    ExecutionStarted,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
)
from agentflow.contracts.problem import NodeError

START = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


class Story:
    """The events of one execution, one second apart."""

    def __init__(self, tenant: str = "acme", execution_id: str = "exec_1") -> None:
        self.tenant = tenant
        self.execution_id = execution_id
        self.events: list[Event] = []

    def accepted(self, **fields: Any) -> "Story":
        return self._add(CommandAccepted, **fields)

    def started(self, **fields: Any) -> "Story":
        default: dict[str, Any] = {
            "executor_id": "executor-1",
            "workflow_name": "triage",
            "definition_hash": "0" * 64,
            "node_count": 2,
            "initial_state": {"user_input": "Where is my order?"},
            "deadline": START + timedelta(hours=1),
        }
        return self._add(ExecutionStarted, **{**default, **fields})

    def resumed(self, executor_id: str = "executor-2") -> "Story":
        return self._add(ExecutionResumed, executor_id=executor_id)

    def cancel_requested(self, by: str = "ann") -> "Story":
        return self._add(CancelRequested, requested_by=by, reason="enough")

    def node_started(self, node_id: str = "a", attempt: int = 1) -> "Story":
        return self._node(NodeStarted, node_id, attempt)

    def retrying(self, node_id: str = "a", attempt: int = 1) -> "Story":
        error = NodeError(code="rate_limited", message="slow down", retryable=True)
        return self._node(NodeRetrying, node_id, attempt, error=error, delay_seconds=0.5)

    def done(self, node_id: str = "a", attempt: int = 1, **fields: Any) -> "Story":
        fields.setdefault("output", f"{node_id} says {attempt}")
        return self._node(NodeCompleted, node_id, attempt, **fields)

    def node_failed(self, node_id: str = "a", attempt: int = 1) -> "Story":
        error = NodeError(code="auth", message="wrong key")
        return self._node(NodeFailed, node_id, attempt, error=error)

    def skipped(self, node_id: str = "a") -> "Story":
        return self._node(NodeSkipped, node_id, 1, reason="no way in was taken")

    def node_cancelled(self, node_id: str = "a", attempt: int = 1) -> "Story":
        return self._node(NodeCancelled, node_id, attempt)

    def completed(self, **fields: Any) -> "Story":
        return self._end(ExecutionCompleted, **fields)

    def failed(self, **fields: Any) -> "Story":
        return self._end(ExecutionFailed, **fields)

    def cancelled(self, **fields: Any) -> "Story":
        return self._end(ExecutionCancelled, **fields)

    def _end(self, kind: type[Event], **fields: Any) -> "Story":
        default: dict[str, Any] = {"final_state": {"final_output": 1}, "duration_ms": 12.5}
        return self._add(kind, **{**default, **fields})

    def _node(self, kind: type[Event], node_id: str, attempt: int, **fields: Any) -> "Story":
        now = self._now()
        return self._add(
            kind,
            node_id=node_id,
            node_type="llm",
            attempt=attempt,
            worker_id="worker-1",
            dispatched_at=now - timedelta(milliseconds=300),
            started_at=now - timedelta(milliseconds=250),
            **fields,
        )

    def _now(self) -> datetime:
        return START + timedelta(seconds=len(self.events))

    def _add(self, kind: type[Event], **fields: Any) -> "Story":
        self.events.append(
            kind(
                tenant=self.tenant,
                execution_id=self.execution_id,
                occurred_at=self._now(),
                **fields,
            )
        )
        return self
