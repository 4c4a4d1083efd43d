"""Events folded into what one transaction writes. Pure: events in, rows out.

Within a batch the log order decides, and the first event that can fill a group of columns
fills it; between batches the store keeps the same law (`agentflow.storage.projection`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agentflow.contracts.events import (
    CancelRequested,
    CommandAccepted,
    Event,
    ExecutionEnded,
    ExecutionFailed,
    ExecutionResumed,
    ExecutionStarted,
    NodeEvent,
)
from agentflow.contracts.status import ExecutionStatus
from agentflow.history.recorded import Recorded
from agentflow.storage.labels import labels, searchable
from agentflow.storage.projection import ProjectionBatch, Row
from agentflow.storage.tables import executions

PROJECTION = "history"
_COLUMNS = tuple(column.name for column in executions.columns)


def fold(events: Sequence[Recorded], now: datetime) -> ProjectionBatch:
    """The rows `events` become, whatever order they are in."""
    batch = ProjectionBatch()
    heads: dict[tuple[str, str], Row] = {}
    found_labels: dict[tuple[str, str, str, str], None] = {}
    ordered = sorted(events, key=lambda recorded: recorded.sequence)
    for recorded in ordered:
        if isinstance(recorded.event, NodeEvent):
            batch.nodes.append(recorded.row)
            continue
        batch.events.append(recorded.row)
        if recorded.event is not None:
            key = (recorded.tenant, recorded.execution_id)
            head = heads.get(key)
            if head is None:
                head = heads[key] = _new_head(recorded)
            _take(head, recorded.event, recorded.sequence)
            for label in _labels_of(recorded.event):
                found_labels[*key, *label] = None
    batch.executions = list(heads.values())
    batch.labels = [
        {"tenant": tenant, "execution_id": execution_id, "key": key, "value": value}
        for tenant, execution_id, key, value in found_labels
    ]
    if ordered:
        batch.progress = {
            "name": PROJECTION,
            "last_seq": ordered[-1].sequence,
            "last_event_at": ordered[-1].occurred_at,
            "updated_at": now,
        }
    return batch


def _new_head(recorded: Recorded) -> Row:
    head: Row = dict.fromkeys(_COLUMNS)
    head["tenant"] = recorded.tenant
    head["execution_id"] = recorded.execution_id
    head["status"] = ExecutionStatus.PENDING.value
    head["created_at"] = recorded.occurred_at
    return head


def _take(head: Row, event: Event, sequence: int) -> None:
    head["created_at"] = min(head["created_at"], event.occurred_at)
    if isinstance(event, ExecutionStarted):
        _take_start(head, event, sequence)
    elif isinstance(event, ExecutionEnded):
        _take_end(head, event, sequence)
    elif isinstance(event, CommandAccepted):
        _take_identity(head, event, overrides=False)
        if head["accepted_seq"] is None:
            head["accepted_seq"] = sequence
    elif isinstance(event, ExecutionResumed):
        _take_executor(head, event.executor_id, sequence)
    elif isinstance(event, CancelRequested) and head["cancel_seq"] is None:
        head["cancel_seq"] = sequence
        head["cancel_requested_at"] = event.occurred_at
        head["cancel_requested_by"] = event.requested_by
        head["cancel_reason"] = event.reason


def _take_start(head: Row, event: ExecutionStarted, sequence: int) -> None:
    _take_identity(head, event, overrides=True)
    _take_executor(head, event.executor_id, sequence)
    if head["started_seq"] is None:
        head["started_seq"] = sequence
        head["started_at"] = event.occurred_at
        head["initial_state"] = event.initial_state
        head["definition_hash"] = event.definition_hash
        head["node_count"] = event.node_count
        head["deadline_at"] = event.deadline
        user_input = event.initial_state.get("user_input")
        if isinstance(user_input, str):
            head["search_input"] = searchable(user_input)


def _take_end(head: Row, event: ExecutionEnded, sequence: int) -> None:
    _take_identity(head, event, overrides=False)
    if head["ended_seq"] is not None:
        return
    head["status"] = event.STATUS.value
    head["ended_seq"] = sequence
    head["ended_at"] = event.occurred_at
    head["final_state"] = event.final_state
    head["warnings"] = list(event.warnings) or None
    head["tokens_used"] = event.tokens_used
    head["cost"] = event.cost
    head["duration_ms"] = event.duration_ms
    if event.error is not None:
        head["error"] = event.error.model_dump(mode="json", exclude_none=True)
        head["search_error"] = searchable(f"{event.error.code} {event.error.message}")
    if isinstance(event, ExecutionFailed) and event.issues:
        head["issues"] = [
            issue.model_dump(mode="json", exclude_none=True) for issue in event.issues
        ]


def _take_executor(head: Row, executor_id: str, sequence: int) -> None:
    head["executor_id"] = executor_id
    head["executor_seq"] = sequence
    if head["ended_seq"] is None:
        head["status"] = ExecutionStatus.RUNNING.value


def _take_identity(head: Row, event: Event, *, overrides: bool) -> None:
    """What the execution runs and for whom. What is empty says nothing."""
    said: dict[str, Any] = {
        "workflow_id": getattr(event, "workflow_id", None),
        "workflow_version": getattr(event, "workflow_version", None),
        "workflow_name": getattr(event, "workflow_name", None),
        "requested_by": getattr(event, "requested_by", None),
        "request_id": getattr(event, "request_id", None),
        "tags": list(getattr(event, "tags", ())) or None,
        "metadata": getattr(event, "metadata", None) or None,
    }
    words = (said["workflow_name"], said["workflow_id"], *(said["tags"] or ()))
    named = [word for word in words if word]
    said["search_name"] = searchable(" ".join([*named, event.execution_id])) if named else None
    for name, value in said.items():
        if value is not None and (overrides or head[name] is None):
            head[name] = value


def _labels_of(event: Event) -> list[tuple[str, str]]:
    return labels(getattr(event, "tags", ()), getattr(event, "metadata", None) or {})
