"""Workflows and sources. A version of a workflow is never changed, only followed by another."""

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, String, Table, Text

from agentflow.storage.tables.base import TENANT_OWNED, metadata, tenant_column
from agentflow.storage.types import UtcTime, json_column

workflows = Table(
    "workflows",
    metadata,
    tenant_column(),
    Column("workflow_id", String(128), primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("latest_version", Integer, nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
    Column("created_by", Text),
    Column("deleted_at", UtcTime()),
    Index("ix_workflows_updated", "tenant", "updated_at", "workflow_id"),
    info=TENANT_OWNED,
)

workflow_versions = Table(
    "workflow_versions",
    metadata,
    tenant_column(),
    Column("workflow_id", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("spec", json_column(), nullable=False),
    Column("definition_hash", Text),
    Column("created_at", UtcTime(), nullable=False),
    Column("created_by", Text),
    ForeignKeyConstraint(["tenant", "workflow_id"], ["workflows.tenant", "workflows.workflow_id"]),
    info=TENANT_OWNED,
)

sources = Table(
    "sources",
    metadata,
    tenant_column(),
    Column("source_id", String(128), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("name", Text),
    Column("description", Text),
    Column("config", json_column(), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("created_at", UtcTime(), nullable=False),
    Column("updated_at", UtcTime(), nullable=False),
    Column("created_by", Text),
    Index("ix_sources_updated", "tenant", "updated_at", "source_id"),
    info=TENANT_OWNED,
)

# Which stored sources the latest version of a workflow names.
source_uses = Table(
    "source_uses",
    metadata,
    tenant_column(),
    Column("source_id", String(128), primary_key=True),
    Column("workflow_id", String(128), primary_key=True),
    ForeignKeyConstraint(["tenant", "workflow_id"], ["workflows.tenant", "workflows.workflow_id"]),
    info=TENANT_OWNED,
)
