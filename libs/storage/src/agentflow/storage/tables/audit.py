"""The audit log: append-only, one hash chain per tenant. Triggers refuse UPDATE and DELETE.

`audit_heads` holds the end of each chain: writers lock it, verifiers see a cut-off tail by it.
"""

from sqlalchemy import BigInteger, Column, Index, String, Table, Text, UniqueConstraint

from agentflow.storage.tables.base import TENANT_OWNED, metadata, tenant_column
from agentflow.storage.types import UtcTime

audit_logs = Table(
    "audit_logs",
    metadata,
    tenant_column(),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("record_id", String(160), nullable=False),
    Column("resource", Text, nullable=False),
    Column("verb", Text, nullable=False),
    Column("occurred_at", UtcTime(), nullable=False),
    Column("recorded_at", UtcTime(), nullable=False),
    Column("actor", Text),
    Column("resource_id", Text),
    Column("request_id", Text),
    Column("client_address", Text),
    # Text, not JSON: the hash is over these very characters.
    Column("details", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("tenant", "record_id"),
    Index("ix_audit_logs_occurred", "tenant", "occurred_at", "position"),
    Index("ix_audit_logs_action", "tenant", "resource", "verb", "position"),
    Index("ix_audit_logs_actor", "tenant", "actor", "position"),
    info=TENANT_OWNED,
)

audit_heads = Table(
    "audit_heads",
    metadata,
    tenant_column(),
    Column("position", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    info=TENANT_OWNED,
)
