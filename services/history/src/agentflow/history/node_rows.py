"""Node events as rows of `node_executions`: every event is one row, every attempt is kept."""

from typing import Any

from agentflow.contracts.events import (
    NodeCancelled,
    NodeCompleted,
    NodeEvent,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeTimedOut,
)
from agentflow.contracts.status import NodeStatus
from agentflow.storage.projection import Row

_STATUS: dict[type[NodeEvent], str] = {
    NodeStarted: NodeStatus.RUNNING.value,
    NodeRetrying: NodeStatus.FAILED.value,
    NodeCompleted: NodeStatus.COMPLETED.value,
    NodeFailed: NodeStatus.FAILED.value,
    NodeTimedOut: NodeStatus.TIMED_OUT.value,
    NodeSkipped: NodeStatus.SKIPPED.value,
    NodeCancelled: NodeStatus.CANCELLED.value,
}


def node_row(event: NodeEvent, sequence: int, name: str) -> Row:
    """The row of `event`; a key for every column, None where the event says nothing."""
    running = isinstance(event, NodeStarted)
    row: Row = {
        "tenant": event.tenant,
        "execution_id": event.execution_id,
        "event_seq": sequence,
        "event": name,
        "node_id": event.node_id,
        "node_type": event.node_type,
        "attempt": event.attempt,
        "status": _STATUS[type(event)],
        "will_retry": False,
        "retry_delay_seconds": None,
        "input": None,
        "output": None,
        "output_key": None,
        "writes": None,
        "error": None,
        "warnings": None,
        "reason": None,
        "worker_id": event.worker_id,
        "dispatched_at": event.dispatched_at,
        "started_at": event.started_at,
        "occurred_at": event.occurred_at,
        "queue_wait_ms": event.queue_wait_ms,
        "duration_ms": None if running else event.duration_ms,
        **_NO_USAGE,
    }
    if isinstance(event, NodeCompleted):
        _add_result(row, event)
    elif isinstance(event, NodeRetrying):
        row["will_retry"] = True
        row["retry_delay_seconds"] = event.delay_seconds
        row["input"] = event.input
        row["error"] = event.error.model_dump(mode="json", exclude_none=True)
    elif isinstance(event, NodeFailed):
        row["input"] = event.input
        row["error"] = event.error.model_dump(mode="json", exclude_none=True)
    elif isinstance(event, NodeSkipped):
        row["reason"] = event.reason
    return row


_NO_USAGE: dict[str, Any] = dict.fromkeys(
    (
        "tokens_used",
        "prompt_tokens",
        "cached_tokens",
        "completion_tokens",
        "cost",
        "provider",
        "model",
        "finish_reason",
        "first_token_ms",
    )
)


def _add_result(row: Row, event: NodeCompleted) -> None:
    row["input"] = event.input
    row["output"] = event.output
    row["output_key"] = event.output_key
    row["writes"] = event.writes or None
    row["warnings"] = list(event.warnings) or None
    usage = event.usage
    if usage is None:
        row["tokens_used"] = _number(event.writes.get("tokens_used"), int)
        row["cost"] = _number(event.writes.get("cost"), float)
        return
    row["tokens_used"] = usage.total_tokens
    row["prompt_tokens"] = usage.prompt_tokens
    row["cached_tokens"] = usage.cached_tokens
    row["completion_tokens"] = usage.completion_tokens
    row["cost"] = usage.cost
    row["provider"] = usage.provider
    row["model"] = usage.model
    row["finish_reason"] = usage.finish_reason
    row["first_token_ms"] = usage.first_token_ms


def _number(value: Any, kind: type[int] | type[float]) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return kind(value)
