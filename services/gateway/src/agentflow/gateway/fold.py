"""An execution read from its event log: what history will write down, before it has.

The same views, and for the nodes the same rules, as the recorded execution: a reader cannot
tell which of the two answered. Pure: events in, views out.
"""

from collections.abc import Iterable
from typing import Any

from agentflow.contracts.events import (
    CancelRequested,
    CommandAccepted,
    Event,
    ExecutionEnded,
    ExecutionFailed,
    ExecutionResumed,
    ExecutionStarted,
    NodeCancelled,
    NodeCompleted,
    NodeEvent,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeTimedOut,
)
from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.gateway.views import ExecutionOutcome
from agentflow.storage.attempts import Cutoff, fold_nodes
from agentflow.storage.views import ExecutionDetail

_STATUSES: tuple[tuple[type[NodeEvent], NodeStatus], ...] = (
    (NodeTimedOut, NodeStatus.TIMED_OUT),
    (NodeFailed, NodeStatus.FAILED),
    (NodeRetrying, NodeStatus.FAILED),
    (NodeCompleted, NodeStatus.COMPLETED),
    (NodeSkipped, NodeStatus.SKIPPED),
    (NodeCancelled, NodeStatus.CANCELLED),
    (NodeStarted, NodeStatus.RUNNING),
)
_ATTEMPT_FIELDS = ("input", "output", "output_key", "error", "reason")
_USAGE = (
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "cost",
    "provider",
    "model",
    "finish_reason",
    "first_token_ms",
)

Stored = tuple[int, Event]
"""An event and its place in the stream."""


def fold(execution_id: str, log: Iterable[Stored]) -> ExecutionDetail | None:
    """The execution this log tells, in its order; None when it is empty."""
    found: dict[str, Any] = {"status": ExecutionStatus.PENDING}
    rows: list[dict[str, Any]] = []
    timeline: list[dict[str, Any]] = []
    cancelled_at: int | None = None
    for sequence, event in log:
        found["created_at"] = min(found.get("created_at", event.occurred_at), event.occurred_at)
        if isinstance(event, NodeEvent):
            rows.append(_row(sequence, event))
            continue
        timeline.append(_line(sequence, event))
        if isinstance(event, CommandAccepted | ExecutionStarted):
            _take_head(found, event)
        elif isinstance(event, CancelRequested) and cancelled_at is None:
            cancelled_at = sequence
            _take_cancel(found, event)
        elif isinstance(event, ExecutionEnded) and "ended_seq" not in found:
            _take_end(found, event, sequence)
    if "created_at" not in found:
        return None
    cutoff = Cutoff(found["status"], found.get("ended_seq"), cancelled_at)
    return ExecutionDetail(
        execution_id=execution_id, nodes=fold_nodes(rows, cutoff), events=timeline, **found
    )


def outcome_of(end: ExecutionEnded, final_state: dict[str, Any]) -> ExecutionOutcome:
    """What a caller who waited is told; `final_state` has its references resolved."""
    return ExecutionOutcome(
        status="success" if end.STATUS is ExecutionStatus.COMPLETED else "error",
        execution_id=end.execution_id,
        execution_status=end.STATUS,
        final_state=final_state,
        execution_time=end.duration_ms / 1000,
        tokens_used=end.tokens_used,
        cost=end.cost,
        error=end.error,
        warnings=end.warnings,
    )


def _take_head(found: dict[str, Any], event: CommandAccepted | ExecutionStarted) -> None:
    """What the executor says of the workflow counts more than what the client said."""
    counts = isinstance(event, ExecutionStarted)
    for name in (
        "workflow_name",
        "workflow_id",
        "workflow_version",
        "requested_by",
        "request_id",
        "tags",
        "metadata",
    ):
        value = getattr(event, name)
        if value and (counts or name not in found):
            found[name] = value
    if isinstance(event, ExecutionStarted) and "started_at" not in found:
        found["started_at"] = event.occurred_at
        found["deadline_at"] = event.deadline
        found["definition_hash"] = event.definition_hash
        found["node_count"] = event.node_count
        found["initial_state"] = event.initial_state
        found["executor_id"] = event.executor_id
        if not found["status"].is_terminal:
            found["status"] = ExecutionStatus.RUNNING


def _take_cancel(found: dict[str, Any], event: CancelRequested) -> None:
    found["cancel_requested_at"] = event.occurred_at
    found["cancel_requested_by"] = event.requested_by
    found["cancel_reason"] = event.reason


def _take_end(found: dict[str, Any], event: ExecutionEnded, sequence: int) -> None:
    found["status"] = event.STATUS
    found["ended_seq"] = sequence
    found["ended_at"] = event.occurred_at
    for name in ("duration_ms", "final_state", "tokens_used", "cost", "error", "warnings"):
        found[name] = getattr(event, name)
    if event.workflow_name is not None:
        found.setdefault("workflow_name", event.workflow_name)
    if event.tags:
        found.setdefault("tags", event.tags)
    if isinstance(event, ExecutionFailed):
        found["issues"] = event.issues


def _line(sequence: int, event: Event) -> dict[str, Any]:
    """One line of the execution's timeline."""
    actor = getattr(event, "requested_by", None)
    if isinstance(event, ExecutionStarted | ExecutionResumed):
        actor = event.executor_id
    return {
        "event": event.SUBJECT.split("}.", 2)[2],
        "event_seq": sequence,
        "occurred_at": event.occurred_at,
        "actor": actor,
    }


def _row(sequence: int, event: NodeEvent) -> dict[str, Any]:
    """A node event in the shape of a row of `node_executions`."""
    return {
        "node_id": event.node_id,
        "node_type": event.node_type,
        "event_seq": sequence,
        "attempt": event.attempt,
        "status": next(status for kind, status in _STATUSES if isinstance(event, kind)),
        "will_retry": isinstance(event, NodeRetrying),
        "retry_delay_seconds": getattr(event, "delay_seconds", None),
        **{name: getattr(event, name, None) for name in _ATTEMPT_FIELDS},
        "writes": getattr(event, "writes", None) or None,
        "warnings": getattr(event, "warnings", ()),
        "worker_id": event.worker_id,
        "dispatched_at": event.dispatched_at,
        "started_at": event.started_at,
        "occurred_at": event.occurred_at,
        "queue_wait_ms": event.queue_wait_ms,
        "duration_ms": event.duration_ms,
        **_figures(event),
    }


def _figures(event: NodeEvent) -> dict[str, Any]:
    """Tokens and cost: of the provider's call, else what the node itself wrote of them."""
    found: dict[str, Any] = dict.fromkeys(_USAGE)
    found["tokens_used"] = None
    if not isinstance(event, NodeCompleted):
        return found
    if event.usage is None:
        for name in ("tokens_used", "cost"):
            value = event.writes.get(name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            found[name] = value if number else None
        return found
    found = {name: getattr(event.usage, name) for name in _USAGE}
    return {**found, "tokens_used": event.usage.total_tokens}
