"""What the store hands out: plain frozen views, never rows.

Times are UTC; durations of executions and nodes are milliseconds; cost is US dollars, None
where it is unknown. Large values are references, as the events held them.
"""

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from agentflow.contracts.problem import Issue, NodeError
from agentflow.contracts.status import ExecutionStatus, NodeStatus

Item = TypeVar("Item")


class View(BaseModel):
    """Base of all views."""

    model_config = ConfigDict(frozen=True)


class Page(View, Generic[Item]):
    """Some items and, where there are more, the cursor of the next page."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


class AttemptView(View):
    """One run of a node, as one event told it. `event_seq` is the event's place in the stream."""

    attempt: int
    status: NodeStatus
    event_seq: int
    ignored: bool = Field(
        default=False, description="came after the node or its execution had an outcome"
    )
    will_retry: bool = False
    retry_delay_seconds: float | None = None
    input: Any = None
    output: Any = None
    output_key: str | None = None
    writes: dict[str, Any] | None = None
    error: NodeError | None = None
    warnings: tuple[str, ...] = ()
    reason: str | None = Field(default=None, description="why it was skipped")
    worker_id: str | None = None
    dispatched_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    queue_wait_ms: float | None = None
    duration_ms: float | None = None
    tokens_used: int | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    provider: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    first_token_ms: float | None = None


class NodeView(View):
    """A node with every attempt; input, output and figures are those of the one that counts."""

    node_id: str
    node_type: str
    status: NodeStatus
    input: Any = None
    output: Any = None
    error: NodeError | None = None
    warnings: tuple[str, ...] = ()
    reason: str | None = None
    worker_id: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    queue_wait_ms: float | None = None
    duration_ms: float | None = None
    tokens_used: int | None = None
    cost: float | None = None
    provider: str | None = None
    model: str | None = None
    attempts: tuple[AttemptView, ...] = ()


class EventView(View):
    """One event of the execution itself, for its timeline."""

    event: str = Field(description="e.g. `execution.resumed`")
    event_seq: int
    occurred_at: datetime
    actor: str | None = Field(default=None, description="the executor, or who asked for it")


class ExecutionSummary(View):
    """An execution as lists show it."""

    execution_id: str
    status: ExecutionStatus
    workflow_name: str | None = None
    workflow_id: str | None = None
    workflow_version: int | None = None
    definition_hash: str | None = None
    node_count: int | None = None
    requested_by: str | None = None
    request_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)
    error: NodeError | None = None
    tokens_used: int | None = None
    cost: float | None = None
    created_at: datetime
    started_at: datetime | None = None
    deadline_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    ended_at: datetime | None = None
    duration_ms: float | None = None


class ExecutionDetail(ExecutionSummary):
    """An execution with its states, its nodes in the order of their first event, its timeline."""

    executor_id: str | None = None
    cancel_requested_by: str | None = None
    cancel_reason: str | None = None
    initial_state: dict[str, Any] | None = None
    final_state: dict[str, Any] | None = None
    issues: tuple[Issue, ...] = ()
    warnings: tuple[str, ...] = ()
    ended_seq: int | None = Field(
        default=None, description="place of the terminal event in the stream"
    )
    nodes: tuple[NodeView, ...] = ()
    events: tuple[EventView, ...] = ()


class WorkflowSummary(View):
    """A stored workflow as lists show it."""

    workflow_id: str
    name: str
    description: str = ""
    latest_version: int
    created_at: datetime
    updated_at: datetime
    created_by: str | None = None


class WorkflowView(WorkflowSummary):
    """One version of a stored workflow, with its spec as it was given."""

    version: int
    spec: dict[str, Any]
    definition_hash: str | None = None
    version_created_at: datetime
    version_created_by: str | None = None


class VersionView(View):
    """One line of a workflow's versions."""

    version: int
    definition_hash: str | None = None
    created_at: datetime
    created_by: str | None = None


class SourceView(View):
    """A stored source. `revision` counts its changes from 1."""

    source_id: str
    kind: str
    name: str | None = None
    description: str | None = None
    config: dict[str, Any]
    revision: int
    created_at: datetime
    updated_at: datetime
    created_by: str | None = None


class ApiKeyView(View):
    """An API key without its secret."""

    key_id: str
    tenant: str
    prefix: str
    name: str
    user: str
    role: str
    replaces: str | None = None
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class AuditView(View):
    """One record of the audit log and its links in the chain (hex SHA-256)."""

    position: int
    record_id: str
    resource: str
    verb: str
    occurred_at: datetime
    recorded_at: datetime
    actor: str | None = None
    resource_id: str | None = None
    request_id: str | None = None
    client_address: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    prev_hash: str
    hash: str


class ChainReport(View):
    """What checking a tenant's audit chain found; `broken_at` is the first bad position."""

    valid: bool
    checked: int
    broken_at: int | None = None
    reason: str | None = None
