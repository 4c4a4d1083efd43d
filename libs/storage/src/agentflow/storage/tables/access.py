"""API keys. The secret itself is never stored; `prefix` finds the row, `hash` proves the key."""

from sqlalchemy import Column, Index, LargeBinary, String, Table, Text, UniqueConstraint

from agentflow.storage.tables.base import TENANT_OWNED, metadata, tenant_column
from agentflow.storage.types import UtcTime

api_keys = Table(
    "api_keys",
    metadata,
    tenant_column(),
    Column("key_id", String(64), primary_key=True),
    Column("prefix", String(32), nullable=False),
    Column("hash", LargeBinary(32), nullable=False),
    Column("name", Text, nullable=False),
    Column("user_id", Text, nullable=False),
    Column("role", String(32), nullable=False),
    Column("replaces", String(64)),
    Column("created_at", UtcTime(), nullable=False),
    Column("created_by", Text),
    Column("expires_at", UtcTime()),
    Column("revoked_at", UtcTime()),
    UniqueConstraint("prefix"),
    Index("ix_api_keys_created", "tenant", "created_at", "key_id"),
    info=TENANT_OWNED,
)
