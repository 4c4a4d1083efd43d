"""All tables, for migrations and repositories. A table of tenants starts its key with `tenant`.

`info={"tenant_owned": True}` puts a table under the safety net of `tenancy.py`.
"""

from agentflow.storage.tables.access import api_keys
from agentflow.storage.tables.audit import audit_heads, audit_logs
from agentflow.storage.tables.base import metadata
from agentflow.storage.tables.definitions import (
    source_uses,
    sources,
    workflow_versions,
    workflows,
)
from agentflow.storage.tables.history import (
    execution_events,
    execution_labels,
    executions,
    node_executions,
    projection_state,
)

__all__ = [
    "api_keys",
    "audit_heads",
    "audit_logs",
    "execution_events",
    "execution_labels",
    "executions",
    "metadata",
    "node_executions",
    "projection_state",
    "source_uses",
    "sources",
    "workflow_versions",
    "workflows",
]
