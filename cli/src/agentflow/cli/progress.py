"""The fold of one execution's events into what a person wants to see of it.

Pure: the same events give the same picture, whether they come live or from the log. The
first ending of a node counts; what comes later is noise.
"""

from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite
from typing import Any

from pydantic import ValidationError

from agentflow.contracts.errors import AgentflowError
from agentflow.contracts.spec import WorkflowSpec
from agentflow.contracts.status import NodeStatus

ENDED = {
    "node.completed": NodeStatus.COMPLETED,
    "node.failed": NodeStatus.FAILED,
    "node.timed_out": NodeStatus.TIMED_OUT,
    "node.skipped": NodeStatus.SKIPPED,
    "node.cancelled": NodeStatus.CANCELLED,
}
TERMINAL = {
    "execution.completed": "COMPLETED",
    "execution.failed": "FAILED",
    "execution.cancelled": "CANCELLED",
    "execution.timed_out": "TIMED_OUT",
}


@dataclass
class NodeRow:
    """One node. Times in milliseconds, cost in US dollars; None where not known."""

    node_id: str
    node_type: str = ""
    rank: int = 0
    status: NodeStatus = NodeStatus.PENDING
    attempt: int = 0
    queue_wait_ms: float | None = None
    duration_ms: float | None = None
    started_at: datetime | None = None
    tokens: int | None = None
    cost: float | None = None
    note: str = ""


@dataclass
class Progress:
    """An execution while it runs. `rows` keep the order of the plan, then of appearance."""

    execution_id: str = ""
    workflow_name: str = ""
    status: str = "PENDING"
    rows: dict[str, NodeRow] = field(default_factory=dict)
    started_at: datetime | None = None
    duration_ms: float | None = None
    tokens: int = 0
    cost: float | None = None
    error: dict[str, Any] | None = None
    ending: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        return self.ending is not None

    def expect(self, document: Any) -> None:
        """Lay out the nodes of a spec before anything happened; a broken spec gives no rows."""
        from agentflow.engine.plan import compile_plan

        try:
            view = compile_plan(WorkflowSpec.model_validate(document)).view()
        except (AgentflowError, ValidationError):
            return
        types = {node["id"]: str(node["type"]) for node in document["nodes"]}
        for rank, stage in enumerate(view.stages):
            for node_id in stage:
                self.rows[node_id] = NodeRow(node_id, types.get(node_id, ""), rank)

    def hear(self, name: str, event: dict[str, Any]) -> None:
        """Take in one event; `name` is e.g. `node.completed`."""
        self.execution_id = str(event.get("execution_id", self.execution_id))
        if name.startswith("node."):
            self._hear_node(name, event)
        elif name == "execution.started":
            self.status = "RUNNING"
            self.workflow_name = str(event.get("workflow_name", self.workflow_name))
            self.started_at = moment(event.get("occurred_at"))
        elif name == "execution.cancel_requested" and not self.ended:
            self.status = "CANCELLING"
        elif name in TERMINAL and not self.ended:
            self._end(TERMINAL[name], event)

    def _end(self, status: str, event: dict[str, Any]) -> None:
        self.status = status
        self.ending = event
        self.duration_ms = number(event.get("duration_ms"))
        self.tokens = int(number(event.get("tokens_used")) or self.tokens)
        self.cost = number(event.get("cost")) if "cost" in event else self.cost
        error = event.get("error")
        self.error = error if isinstance(error, dict) else None
        for row in self.rows.values():
            if row.status in (NodeStatus.RUNNING, NodeStatus.QUEUED):
                row.status = NodeStatus.CANCELLED

    def _hear_node(self, name: str, event: dict[str, Any]) -> None:
        node_id = str(event.get("node_id", "?"))
        row = self.rows.setdefault(node_id, NodeRow(node_id))
        if row.status.is_terminal:
            return
        row.node_type = str(event.get("node_type", row.node_type))
        row.attempt = max(row.attempt, int(number(event.get("attempt")) or 1))
        row.started_at = moment(event.get("started_at")) or row.started_at
        row.queue_wait_ms = span(event.get("dispatched_at"), event.get("started_at"))
        if name == "node.started":
            row.status = NodeStatus.RUNNING
        elif name == "node.retrying":
            row.status = NodeStatus.QUEUED
            delay = number(event.get("delay_seconds")) or 0.0
            row.note = f"{_code(event)}, again in {delay:.1f} s"
        elif name in ENDED:
            self._end_node(row, ENDED[name], event)

    def _end_node(self, row: NodeRow, status: NodeStatus, event: dict[str, Any]) -> None:
        row.status = status
        row.duration_ms = span(event.get("started_at"), event.get("occurred_at"))
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._add_usage(row, usage)
        warnings = event.get("warnings")
        first = warnings[0] if isinstance(warnings, list) and warnings else ""
        row.note = str(_code(event) or event.get("reason") or first)

    def _add_usage(self, row: NodeRow, usage: dict[str, Any]) -> None:
        spent = (number(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
        row.tokens = int(sum(tokens or 0 for tokens in spent))
        row.cost = number(usage.get("cost"))
        self.tokens += row.tokens
        if row.cost is not None:
            self.cost = (self.cost or 0.0) + row.cost


def number(value: Any) -> float | None:
    """A finite figure, or None for anything else: events come from other releases too."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if isinstance(value, int) else None


def moment(text: Any) -> datetime | None:
    """An ISO time, or None."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def span(start: Any, end: Any) -> float | None:
    """Milliseconds between two ISO times, never negative; None unless both are known."""
    first, last = moment(start), moment(end)
    if first is None or last is None:
        return None
    return max(0.0, (last - first).total_seconds() * 1000)


def _code(event: dict[str, Any]) -> str:
    error = event.get("error")
    return f"{error.get('code')}: {error.get('message', '')}" if isinstance(error, dict) else ""
