"""What history writes: every event is one row, and one row per execution folds them.

`node_executions` holds node events and `execution_events` all others, both keyed by the
event's place in the stream and never changed. `executions` is the fold; the `*_seq` columns
say which event a group of columns came from, so that the order of delivery does not matter.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from agentflow.storage.tables.base import TENANT_OWNED, metadata, tenant_column
from agentflow.storage.types import UtcTime, json_column

executions = Table(
    "executions",
    metadata,
    tenant_column(),
    Column("execution_id", String(128), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("workflow_id", Text),
    Column("workflow_version", Integer),
    Column("workflow_name", Text),
    Column("definition_hash", Text),
    Column("node_count", Integer),
    Column("requested_by", Text),
    Column("request_id", Text),
    Column("executor_id", Text),
    Column("tags", json_column()),
    Column("metadata", json_column()),
    Column("initial_state", json_column()),
    Column("final_state", json_column()),
    Column("error", json_column()),
    Column("issues", json_column()),
    Column("warnings", json_column()),
    Column("tokens_used", BigInteger),
    Column("cost", Double),
    Column("duration_ms", Double),
    Column("created_at", UtcTime(), nullable=False),
    Column("started_at", UtcTime()),
    Column("deadline_at", UtcTime()),
    Column("cancel_requested_at", UtcTime()),
    Column("cancel_requested_by", Text),
    Column("cancel_reason", Text),
    Column("ended_at", UtcTime()),
    Column("accepted_seq", BigInteger),
    Column("started_seq", BigInteger),
    Column("executor_seq", BigInteger),
    Column("cancel_seq", BigInteger),
    Column("ended_seq", BigInteger),
    Column("search_name", Text),
    Column("search_input", Text),
    Column("search_error", Text),
    Index("ix_executions_created", "tenant", "created_at", "execution_id"),
    Index("ix_executions_status", "tenant", "status", "created_at", "execution_id"),
    Index("ix_executions_workflow", "tenant", "workflow_id", "created_at", "execution_id"),
    info=TENANT_OWNED,
)

node_executions = Table(
    "node_executions",
    metadata,
    tenant_column(),
    Column("execution_id", String(128), primary_key=True),
    Column("event_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("event", String(40), nullable=False),
    Column("node_id", String(128), nullable=False),
    Column("node_type", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("will_retry", Boolean, nullable=False),
    Column("retry_delay_seconds", Double),
    Column("input", json_column()),
    Column("output", json_column()),
    Column("output_key", Text),
    Column("writes", json_column()),
    Column("error", json_column()),
    Column("warnings", json_column()),
    Column("reason", Text),
    Column("worker_id", Text),
    Column("dispatched_at", UtcTime()),
    Column("started_at", UtcTime()),
    Column("occurred_at", UtcTime(), nullable=False),
    Column("queue_wait_ms", Double),
    Column("duration_ms", Double),
    Column("tokens_used", BigInteger),
    Column("prompt_tokens", BigInteger),
    Column("cached_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("cost", Double),
    Column("provider", Text),
    Column("model", Text),
    Column("finish_reason", Text),
    Column("first_token_ms", Double),
    info=TENANT_OWNED,
)

execution_events = Table(
    "execution_events",
    metadata,
    tenant_column(),
    Column("execution_id", String(128), primary_key=True),
    Column("event_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("event", Text, nullable=False),
    Column("occurred_at", UtcTime(), nullable=False),
    Column("actor", Text),
    info=TENANT_OWNED,
)

# Tags (key "") and plain metadata values, cut to a length an index can hold.
execution_labels = Table(
    "execution_labels",
    metadata,
    tenant_column(),
    Column("key", String(256), primary_key=True),
    Column("value", String(256), primary_key=True),
    Column("execution_id", String(128), primary_key=True),
    info=TENANT_OWNED,
)

projection_state = Table(
    "projection_state",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("last_seq", BigInteger, nullable=False),
    Column("last_event_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
)
