"""From node events to nodes: which attempt counts.

The first outcome of a node in log order wins; what comes after it, or after the end of its
execution, is kept and marked ignored. Once an execution was cancelled, results that came after
the cancel request are ignored too. A node cut off without a word is CANCELLED.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.storage.views import AttemptView, NodeView

_COUNTING = (
    "input",
    "output",
    "error",
    "warnings",
    "reason",
    "worker_id",
    "started_at",
    "ended_at",
    "queue_wait_ms",
    "duration_ms",
    "tokens_used",
    "cost",
    "provider",
    "model",
)


@dataclass(frozen=True)
class Cutoff:
    """Where in the log an execution stopped taking results."""

    status: ExecutionStatus
    ended_seq: int | None = None
    cancel_seq: int | None = None

    @property
    def last_seq(self) -> int | None:
        """Results after this place are ignored; None: none are."""
        if self.status is ExecutionStatus.CANCELLED and self.cancel_seq is not None:
            return min(self.cancel_seq, self.ended_seq or self.cancel_seq)
        return self.ended_seq


def fold_nodes(rows: Iterable[Mapping[str, Any]], cutoff: Cutoff) -> tuple[NodeView, ...]:
    """The nodes that `rows` of node_executions tell, in the order of their first event.

    `rows` are ordered by event_seq.
    """
    by_node: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_node.setdefault(row["node_id"], []).append(row)
    return tuple(_node(node_id, events, cutoff) for node_id, events in by_node.items())


def _node(node_id: str, rows: list[Mapping[str, Any]], cutoff: Cutoff) -> NodeView:
    counted: AttemptView | None = None
    attempts: list[AttemptView] = []
    for row in rows:
        status = NodeStatus(row["status"])
        late = cutoff.last_seq is not None and row["event_seq"] > cutoff.last_seq
        ignored = counted is not None or (late and status is not NodeStatus.CANCELLED)
        attempt = _attempt(row, status, ignored)
        _place(attempts, attempt)
        if not ignored and status.is_terminal and not attempt.will_retry:
            counted = attempt
    shown = counted or next((a for a in reversed(attempts) if not a.ignored), None)
    fields = {name: getattr(shown, name) for name in _COUNTING} if shown else {}
    return NodeView(
        node_id=node_id,
        node_type=rows[0]["node_type"],
        status=_status(counted, shown, cutoff),
        attempts=tuple(attempts),
        **fields,
    )


def _place(attempts: list[AttemptView], attempt: AttemptView) -> None:
    """An attempt's outcome takes the place of its start."""
    for index, known in enumerate(attempts):
        if known.attempt == attempt.attempt and known.status is NodeStatus.RUNNING:
            attempts[index] = attempt
            return
        if known.attempt == attempt.attempt and attempt.status is NodeStatus.RUNNING:
            return  # the start was delivered after the outcome
    attempts.append(attempt)


def _status(counted: AttemptView | None, shown: AttemptView | None, cutoff: Cutoff) -> NodeStatus:
    if counted is not None:
        return counted.status
    if cutoff.status.is_terminal:
        return NodeStatus.CANCELLED
    if shown is None or shown.will_retry:
        return NodeStatus.QUEUED
    return shown.status


def _attempt(row: Mapping[str, Any], status: NodeStatus, ignored: bool) -> AttemptView:
    running = status is NodeStatus.RUNNING
    values = {name: row[name] for name in AttemptView.model_fields if name in row}
    values |= {
        "status": status,
        "ignored": ignored,
        "ended_at": None if running else row["occurred_at"],
        "duration_ms": None if running else row["duration_ms"],
        "warnings": tuple(row["warnings"] or ()),
    }
    return AttemptView(**values)
