"""First tables: executions and their nodes, definitions, API keys, the audit log.

Runs before the deploy: there is no release before this one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")

_TABLES = (
    "source_uses",
    "sources",
    "workflow_versions",
    "workflows",
    "projection_state",
    "execution_labels",
    "execution_events",
    "node_executions",
    "executions",
    "audit_heads",
    "audit_logs",
    "api_keys",
)

_REFUSE_ON_SQLITE = """
CREATE TRIGGER audit_logs_refuse_{verb} BEFORE {verb} ON audit_logs
BEGIN SELECT RAISE(ABORT, 'audit_logs is append-only'); END
"""

_REFUSE_FUNCTION = """
CREATE FUNCTION agentflow_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$
"""

_REFUSE_ROWS = """
CREATE TRIGGER audit_logs_refuse_change BEFORE UPDATE OR DELETE ON audit_logs
FOR EACH ROW EXECUTE FUNCTION agentflow_refuse_change()
"""

_REFUSE_TRUNCATE = """
CREATE TRIGGER audit_logs_refuse_truncate BEFORE TRUNCATE ON audit_logs
FOR EACH STATEMENT EXECUTE FUNCTION agentflow_refuse_change()
"""

# Text search is right without it and fast with it; not every server offers the extension.
_TEXT_SEARCH = """
DO $$ BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX ix_executions_text ON executions
        USING gin (search_name gin_trgm_ops, search_input gin_trgm_ops, search_error gin_trgm_ops);
EXCEPTION WHEN OTHERS THEN
    RAISE NOTICE 'pg_trgm is not available: text search will read every row';
END $$
"""


def upgrade() -> None:
    create_access()
    create_audit()
    create_executions()
    create_node_executions()
    create_events()
    create_workflows()
    create_sources()
    if op.get_bind().dialect.name == "postgresql":
        for statement in (_REFUSE_FUNCTION, _REFUSE_ROWS, _REFUSE_TRUNCATE, _TEXT_SEARCH):
            op.execute(sa.text(statement))
    else:
        for verb in ("UPDATE", "DELETE"):
            op.execute(sa.text(_REFUSE_ON_SQLITE.format(verb=verb)))


def downgrade() -> None:
    for table in _TABLES:
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.text("DROP FUNCTION agentflow_refuse_change()"))


def create_access() -> None:
    op.create_table(
        "api_keys",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=False),
        sa.Column("prefix", sa.String(length=32), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=32), nullable=False),
        sa.Column("replaces", sa.String(length=64), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("expires_at", _TIME, nullable=True),
        sa.Column("revoked_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("tenant", "key_id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_keys_prefix")),
    )
    op.create_index(
        "ix_api_keys_created", "api_keys", ["tenant", "created_at", "key_id"], unique=False
    )


def create_audit() -> None:
    op.create_table(
        "audit_logs",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record_id", sa.String(length=160), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("recorded_at", _TIME, nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("resource_id", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("client_address", sa.Text(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "position", name=op.f("pk_audit_logs")),
        sa.UniqueConstraint("tenant", "record_id", name=op.f("uq_audit_logs_tenant_record_id")),
    )
    op.create_index(
        "ix_audit_logs_action",
        "audit_logs",
        ["tenant", "resource", "verb", "position"],
        unique=False,
    )
    op.create_index(
        "ix_audit_logs_actor", "audit_logs", ["tenant", "actor", "position"], unique=False
    )
    op.create_index(
        "ix_audit_logs_occurred", "audit_logs", ["tenant", "occurred_at", "position"], unique=False
    )
    op.create_table(
        "audit_heads",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant", name=op.f("pk_audit_heads")),
    )


def create_executions() -> None:
    op.create_table(
        "executions",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("execution_id", sa.String(length=128), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=True),
        sa.Column("workflow_version", sa.Integer(), nullable=True),
        sa.Column("workflow_name", sa.Text(), nullable=True),
        sa.Column("definition_hash", sa.Text(), nullable=True),
        sa.Column("node_count", sa.Integer(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("executor_id", sa.Text(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=True),
        sa.Column("initial_state", sa.JSON(), nullable=True),
        sa.Column("final_state", sa.JSON(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("issues", sa.JSON(), nullable=True),
        sa.Column("warnings", sa.JSON(), nullable=True),
        sa.Column("tokens_used", sa.BigInteger(), nullable=True),
        sa.Column("cost", sa.Double(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("started_at", _TIME, nullable=True),
        sa.Column("deadline_at", _TIME, nullable=True),
        sa.Column("cancel_requested_at", _TIME, nullable=True),
        sa.Column("cancel_requested_by", sa.Text(), nullable=True),
        sa.Column("cancel_reason", sa.Text(), nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.Column("accepted_seq", sa.BigInteger(), nullable=True),
        sa.Column("started_seq", sa.BigInteger(), nullable=True),
        sa.Column("executor_seq", sa.BigInteger(), nullable=True),
        sa.Column("cancel_seq", sa.BigInteger(), nullable=True),
        sa.Column("ended_seq", sa.BigInteger(), nullable=True),
        sa.Column("search_name", sa.Text(), nullable=True),
        sa.Column("search_input", sa.Text(), nullable=True),
        sa.Column("search_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "execution_id", name=op.f("pk_executions")),
    )
    op.create_index(
        "ix_executions_created",
        "executions",
        ["tenant", "created_at", "execution_id"],
        unique=False,
    )
    op.create_index(
        "ix_executions_status",
        "executions",
        ["tenant", "status", "created_at", "execution_id"],
        unique=False,
    )
    op.create_index(
        "ix_executions_workflow",
        "executions",
        ["tenant", "workflow_id", "created_at", "execution_id"],
        unique=False,
    )


def create_node_executions() -> None:
    op.create_table(
        "node_executions",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("execution_id", sa.String(length=128), nullable=False),
        sa.Column("event_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.String(length=40), nullable=False),
        sa.Column("node_id", sa.String(length=128), nullable=False),
        sa.Column("node_type", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("will_retry", sa.Boolean(), nullable=False),
        sa.Column("retry_delay_seconds", sa.Double(), nullable=True),
        sa.Column("input", sa.JSON(), nullable=True),
        sa.Column("output", sa.JSON(), nullable=True),
        sa.Column("output_key", sa.Text(), nullable=True),
        sa.Column("writes", sa.JSON(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("warnings", sa.JSON(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("worker_id", sa.Text(), nullable=True),
        sa.Column("dispatched_at", _TIME, nullable=True),
        sa.Column("started_at", _TIME, nullable=True),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("queue_wait_ms", sa.Double(), nullable=True),
        sa.Column("duration_ms", sa.Double(), nullable=True),
        sa.Column("tokens_used", sa.BigInteger(), nullable=True),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cached_tokens", sa.BigInteger(), nullable=True),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=True),
        sa.Column("cost", sa.Double(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("first_token_ms", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint(
            "tenant", "execution_id", "event_seq", name=op.f("pk_node_executions")
        ),
    )


def create_events() -> None:
    op.create_table(
        "execution_events",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("execution_id", sa.String(length=128), nullable=False),
        sa.Column("event_seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("occurred_at", _TIME, nullable=False),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "tenant", "execution_id", "event_seq", name=op.f("pk_execution_events")
        ),
    )
    op.create_table(
        "execution_labels",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.Column("execution_id", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant", "key", "value", "execution_id", name=op.f("pk_execution_labels")
        ),
    )
    op.create_table(
        "projection_state",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("last_event_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_projection_state")),
    )


def create_workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("latest_version", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("deleted_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("tenant", "workflow_id", name=op.f("pk_workflows")),
    )
    op.create_index(
        "ix_workflows_updated", "workflows", ["tenant", "updated_at", "workflow_id"], unique=False
    )
    op.create_table(
        "workflow_versions",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("definition_hash", sa.Text(), nullable=True),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "workflow_id"],
            ["workflows.tenant", "workflows.workflow_id"],
            name=op.f("fk_workflow_versions_tenant_workflow_id_workflows"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant", "workflow_id", "version", name=op.f("pk_workflow_versions")
        ),
    )


def create_sources() -> None:
    op.create_table(
        "sources",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("source_id", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant", "source_id", name=op.f("pk_sources")),
    )
    op.create_index(
        "ix_sources_updated", "sources", ["tenant", "updated_at", "source_id"], unique=False
    )
    op.create_table(
        "source_uses",
        sa.Column("tenant", sa.String(length=128), nullable=False),
        sa.Column("source_id", sa.String(length=128), nullable=False),
        sa.Column("workflow_id", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "workflow_id"],
            ["workflows.tenant", "workflows.workflow_id"],
            name=op.f("fk_source_uses_tenant_workflow_id_workflows"),
        ),
        sa.PrimaryKeyConstraint("tenant", "source_id", "workflow_id", name=op.f("pk_source_uses")),
    )
