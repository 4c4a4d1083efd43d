"""Executions as history has recorded them: one, with nodes and attempts, or a page of many.

Every query takes the tenant. Somebody else's execution is not there.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select

from agentflow.contracts.ids import ExecutionId, TenantId
from agentflow.contracts.status import ExecutionStatus
from agentflow.storage.attempts import Cutoff, fold_nodes
from agentflow.storage.engine import Database
from agentflow.storage.labels import metadata_key, metadata_value, searchable, tag_label
from agentflow.storage.pages import clamp_limit, decode_cursor, encode_cursor
from agentflow.storage.tables import (
    execution_events,
    execution_labels,
    executions,
    node_executions,
    projection_state,
)
from agentflow.storage.views import EventView, ExecutionDetail, ExecutionSummary, Page

_SUMMARY = [executions.c[name] for name in ExecutionSummary.model_fields]
_ACTIVE = (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)


@dataclass(frozen=True)
class ExecutionFilter:
    """What a list is narrowed to; what is not given does not narrow.

    `created_from` is inclusive, `created_to` exclusive. All `tags` and all `metadata` values
    must be there; `text` is found anywhere in names, ids, tags, the user input or the error.
    """

    statuses: tuple[ExecutionStatus, ...] = ()
    created_from: datetime | None = None
    created_to: datetime | None = None
    workflow_id: str | None = None
    workflow_name: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    text: str | None = None


class Executions:
    """Reads what history wrote."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, tenant: TenantId, execution_id: ExecutionId) -> ExecutionDetail | None:
        """The execution with every attempt of every node; None: there is none, or not yours."""
        async with self._database.read() as connection:
            head = await connection.execute(
                select(executions).where(
                    executions.c.tenant == tenant, executions.c.execution_id == execution_id
                )
            )
            found = head.mappings().one_or_none()
            if found is None:
                return None
            nodes = await connection.execute(
                select(node_executions)
                .where(
                    node_executions.c.tenant == tenant,
                    node_executions.c.execution_id == execution_id,
                )
                .order_by(node_executions.c.event_seq)
            )
            events = await connection.execute(
                select(execution_events)
                .where(
                    execution_events.c.tenant == tenant,
                    execution_events.c.execution_id == execution_id,
                )
                .order_by(execution_events.c.event_seq)
            )
            cutoff = Cutoff(
                ExecutionStatus(found["status"]), found["ended_seq"], found["cancel_seq"]
            )
            values = {name: found[name] for name in ExecutionDetail.model_fields if name in found}
            return ExecutionDetail(
                **_without_nulls(values),
                nodes=fold_nodes((dict(row) for row in nodes.mappings()), cutoff),
                events=tuple(EventView(**_fields(EventView, row)) for row in events),
            )

    async def find(self, tenant: TenantId, execution_id: ExecutionId) -> ExecutionSummary | None:
        """The execution without states and nodes; None: there is none, or not yours."""
        query = select(*_SUMMARY).where(
            executions.c.tenant == tenant, executions.c.execution_id == execution_id
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else _summary(row)

    async def list(
        self,
        tenant: TenantId,
        where: ExecutionFilter | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
        skip: int = 0,
    ) -> Page[ExecutionSummary]:
        """A page, newest first. Give `cursor` (cheap at any depth) or `skip`. Raises BadCursor."""
        limit = clamp_limit(limit)
        query = _narrow(select(*_SUMMARY), tenant, where or ExecutionFilter())
        if cursor is not None:
            at, last_id = decode_cursor(cursor)
            query = query.where(
                or_(
                    executions.c.created_at < at,
                    and_(executions.c.created_at == at, executions.c.execution_id < last_id),
                )
            )
        query = query.order_by(executions.c.created_at.desc(), executions.c.execution_id.desc())
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(limit + 1).offset(max(0, skip)))).all()
        items = tuple(_summary(row) for row in rows[:limit])
        more = len(rows) > limit
        after = encode_cursor(items[-1].created_at, items[-1].execution_id) if more else None
        return Page(items=items, next_cursor=after)

    async def count(self, tenant: TenantId, where: ExecutionFilter | None = None) -> int:
        """How many executions the filter leaves."""
        query = _narrow(
            select(func.count()).select_from(executions), tenant, where or ExecutionFilter()
        )
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def count_active(self, tenant: TenantId, workflow_id: str) -> int:
        """Executions of a stored workflow that have not ended."""
        return await self.count(tenant, ExecutionFilter(statuses=_ACTIVE, workflow_id=workflow_id))

    async def projected_sequence(self, name: str = "history") -> int:
        """The highest event the projection has stored; 0 before the first."""
        query = select(projection_state.c.last_seq).where(projection_state.c.name == name)
        async with self._database.read() as connection:
            return int((await connection.execute(query)).scalar() or 0)


def _narrow(query: Select[Any], tenant: TenantId, where: ExecutionFilter) -> Select[Any]:
    query = query.where(executions.c.tenant == tenant)
    if where.statuses:
        query = query.where(executions.c.status.in_([str(s) for s in where.statuses]))
    if where.created_from is not None:
        query = query.where(executions.c.created_at >= where.created_from)
    if where.created_to is not None:
        query = query.where(executions.c.created_at < where.created_to)
    if where.workflow_id is not None:
        query = query.where(executions.c.workflow_id == where.workflow_id)
    if where.workflow_name is not None:
        query = query.where(executions.c.workflow_name == where.workflow_name)
    for tag in where.tags:
        query = query.where(_labelled(tenant, "", tag_label(tag)))
    for key, value in where.metadata.items():
        query = query.where(_labelled(tenant, metadata_key(key), metadata_value(value)))
    if where.text:
        query = query.where(_mentions(where.text))
    return query


def _labelled(tenant: TenantId, key: str, value: str) -> ColumnElement[bool]:
    return executions.c.execution_id.in_(
        select(execution_labels.c.execution_id).where(
            execution_labels.c.tenant == tenant,
            execution_labels.c.key == key,
            execution_labels.c.value == value,
        )
    )


def _mentions(text: str) -> ColumnElement[bool]:
    wanted = searchable(text)
    columns = (executions.c.search_name, executions.c.search_input, executions.c.search_error)
    return or_(*(column.contains(wanted, autoescape=True) for column in columns))


def _summary(row: Row[Any]) -> ExecutionSummary:
    return ExecutionSummary(**_without_nulls(row._asdict()))


def _fields(view: type[EventView], row: Row[Any]) -> dict[str, Any]:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    return {name: values[name] for name in view.model_fields}


def _without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """What is NULL takes the view's default."""
    return {name: value for name, value in values.items() if value is not None}
