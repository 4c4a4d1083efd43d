"""The safety net: a tenant-owned table cannot be asked without a tenant."""

import pytest
from sqlalchemy import ColumnElement, and_, delete, exists, insert, or_, select, text, update
from sqlalchemy.sql.expression import Executable

from agentflow.storage.engine import open_database
from agentflow.storage.errors import UnscopedQuery
from agentflow.storage.settings import StorageSettings
from agentflow.storage.tables import (
    execution_labels,
    executions,
    metadata,
    projection_state,
    workflow_versions,
    workflows,
)
from agentflow.storage.tenancy import ALL_TENANTS, check_scope

E, W, V, L = executions.c, workflows.c, workflow_versions.c, execution_labels.c
MINE: ColumnElement[bool] = E.tenant == "acme"
BOTH = and_(V.tenant == W.tenant, V.workflow_id == W.workflow_id)
ALIAS = executions.alias("other")

SCOPED: list[Executable] = [
    select(executions).where(MINE),
    select(executions).where(MINE, or_(E.status == "FAILED", E.status == "RUNNING")),
    select(E.status).where(and_(E.execution_id == "x", MINE)),
    update(executions).where(MINE).values(status="x"),
    delete(executions).where(MINE),
    select(W.name, V.spec).join(workflow_versions, BOTH).where(W.tenant == "acme"),
    select(executions).where(MINE, exists().where(L.tenant == "acme", L.key == "k")),
    select(projection_state),
    insert(executions),
    text("SELECT 1"),
]

UNSCOPED: list[Executable] = [
    select(executions),
    select(executions).where(E.execution_id == "x"),
    select(executions).where(or_(MINE, E.status == "FAILED")),
    select(executions).where(E.tenant != "acme"),
    select(executions).where(E.tenant.like("%")),
    select(executions).where(~MINE),
    update(executions).values(status="x"),
    delete(executions).where(E.execution_id == "x"),
    select(W.name, V.spec)
    .join(workflow_versions, V.workflow_id == W.workflow_id)
    .where(W.tenant == "acme"),
    select(executions).where(MINE, exists().where(L.key == "k")),
    select(executions).where(E.execution_id.in_(select(L.execution_id))).where(MINE),
    select(ALIAS.c.status, E.status).where(MINE),
    select(select(executions).subquery()),
]


@pytest.mark.parametrize("statement", SCOPED, ids=range(len(SCOPED)))
def test_a_query_that_names_the_tenant_passes(statement: Executable) -> None:
    check_scope(statement)


@pytest.mark.parametrize("statement", UNSCOPED, ids=range(len(UNSCOPED)))
def test_a_query_without_the_tenant_is_refused(statement: Executable) -> None:
    with pytest.raises(UnscopedQuery, match="does not name the tenant"):
        check_scope(statement)


async def test_the_engine_refuses_before_the_database_is_asked() -> None:
    database = open_database(StorageSettings(database_url="sqlite://"))
    async with database.read() as connection:
        with pytest.raises(UnscopedQuery):  # the table does not even exist
            await connection.execute(select(executions))
    await database.close()


async def test_a_query_over_all_tenants_says_so_with_a_reason() -> None:
    database = open_database(StorageSettings(database_url="sqlite://"))
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
        options = {ALL_TENANTS: "a test"}
        rows = await connection.execute(select(executions), execution_options=options)
        assert rows.all() == []
    await database.close()
