"""Stored workflows. A version is written once; a change is a new version.

Deleting is soft: executions keep their history, the id stays taken and reads as gone.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from agentflow.contracts.ids import TenantId
from agentflow.storage.engine import Database
from agentflow.storage.errors import AlreadyExists, InUse, NotFound, StaleVersion
from agentflow.storage.executions import Executions
from agentflow.storage.pages import clamp_limit, decode_cursor, encode_cursor
from agentflow.storage.tables import source_uses, workflow_versions, workflows
from agentflow.storage.views import Page, VersionView, WorkflowSummary, WorkflowView

_SUMMARY = [workflows.c[name] for name in WorkflowSummary.model_fields]


class Workflows:
    """Specs are stored as they were given; whether they are valid is for others to say."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._executions = Executions(database)

    async def create(
        self,
        tenant: TenantId,
        workflow_id: str,
        spec: dict[str, Any],
        *,
        now: datetime,
        definition_hash: str | None = None,
        created_by: str | None = None,
    ) -> WorkflowView:
        """Version 1 of a new workflow; raises AlreadyExists."""
        head = {
            "tenant": tenant,
            "workflow_id": workflow_id,
            "name": str(spec.get("name") or workflow_id),
            "description": str(spec.get("description") or ""),
            "latest_version": 1,
            "created_at": now,
            "updated_at": now,
            "created_by": created_by,
        }
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(workflows), head)
                await _write_version(
                    connection, tenant, workflow_id, 1, spec, now, definition_hash, created_by
                )
        except IntegrityError as error:
            raise AlreadyExists(f"There is a workflow {workflow_id!r} already.") from error
        return await self._must_get(tenant, workflow_id)

    async def replace(
        self,
        tenant: TenantId,
        workflow_id: str,
        spec: dict[str, Any],
        *,
        now: datetime,
        expected_version: int | None = None,
        definition_hash: str | None = None,
        created_by: str | None = None,
    ) -> WorkflowView:
        """The next version; NotFound, or StaleVersion if `expected_version` is not latest."""
        async with self._database.write() as connection:
            head = await connection.execute(
                select(workflows.c.latest_version)
                .where(
                    workflows.c.tenant == tenant,
                    workflows.c.workflow_id == workflow_id,
                    workflows.c.deleted_at.is_(None),
                )
                .with_for_update()
            )
            latest = head.scalar()
            if latest is None:
                raise _not_found(workflow_id)
            if expected_version is not None and expected_version != latest:
                raise StaleVersion(
                    f"Workflow {workflow_id!r} is at version {latest}, not {expected_version}.",
                    hint="Read it again and apply your change to what is there now.",
                )
            version = int(latest) + 1
            await _write_version(
                connection, tenant, workflow_id, version, spec, now, definition_hash, created_by
            )
            await connection.execute(
                update(workflows)
                .where(workflows.c.tenant == tenant, workflows.c.workflow_id == workflow_id)
                .values(
                    latest_version=version,
                    name=str(spec.get("name") or workflow_id),
                    description=str(spec.get("description") or ""),
                    updated_at=now,
                )
            )
        return await self._must_get(tenant, workflow_id)

    async def get(
        self, tenant: TenantId, workflow_id: str, version: int | None = None
    ) -> WorkflowView | None:
        """A version (the latest without one); None when there is none, or not yours."""
        wanted = workflows.c.latest_version if version is None else version
        query = (
            select(
                *_SUMMARY,
                workflow_versions.c.version,
                workflow_versions.c.spec,
                workflow_versions.c.definition_hash,
                workflow_versions.c.created_at.label("version_created_at"),
                workflow_versions.c.created_by.label("version_created_by"),
            )
            .join(
                workflow_versions,
                and_(
                    workflow_versions.c.tenant == workflows.c.tenant,
                    workflow_versions.c.workflow_id == workflows.c.workflow_id,
                ),
            )
            .where(
                workflows.c.tenant == tenant,
                workflows.c.workflow_id == workflow_id,
                workflows.c.deleted_at.is_(None),
                workflow_versions.c.version == wanted,
            )
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else WorkflowView(**row._asdict())

    async def list(
        self,
        tenant: TenantId,
        *,
        name: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        skip: int = 0,
    ) -> Page[WorkflowSummary]:
        """A page, latest change first; `name` narrows to names that hold it. Raises BadCursor."""
        limit = clamp_limit(limit)
        query = select(*_SUMMARY).where(
            workflows.c.tenant == tenant, workflows.c.deleted_at.is_(None)
        )
        if name:
            query = query.where(workflows.c.name.icontains(name, autoescape=True))
        if cursor is not None:
            at, last_id = decode_cursor(cursor)
            query = query.where(
                or_(
                    workflows.c.updated_at < at,
                    and_(workflows.c.updated_at == at, workflows.c.workflow_id < last_id),
                )
            )
        query = query.order_by(workflows.c.updated_at.desc(), workflows.c.workflow_id.desc())
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(limit + 1).offset(max(0, skip)))).all()
        items = tuple(WorkflowSummary(**row._asdict()) for row in rows[:limit])
        more = len(rows) > limit
        after = encode_cursor(items[-1].updated_at, items[-1].workflow_id) if more else None
        return Page(items=items, next_cursor=after)

    async def versions(self, tenant: TenantId, workflow_id: str) -> tuple[VersionView, ...]:
        """All versions, newest first; raises NotFound."""
        if await self.get(tenant, workflow_id) is None:
            raise _not_found(workflow_id)
        columns = [workflow_versions.c[name] for name in VersionView.model_fields]
        query = (
            select(*columns)
            .where(
                workflow_versions.c.tenant == tenant,
                workflow_versions.c.workflow_id == workflow_id,
            )
            .order_by(workflow_versions.c.version.desc())
        )
        async with self._database.read() as connection:
            rows: Iterable[Row[Any]] = await connection.execute(query)
            return tuple(VersionView(**row._asdict()) for row in rows)

    async def delete(self, tenant: TenantId, workflow_id: str, *, now: datetime) -> None:
        """Soft delete; raises NotFound, or InUse while executions of it have not ended."""
        running = await self._executions.count_active(tenant, workflow_id)
        if running:
            raise InUse(
                f"Workflow {workflow_id!r} has {running} executions that have not ended.",
                hint="Cancel them or wait for them.",
            )
        async with self._database.write() as connection:
            done = await connection.execute(
                update(workflows)
                .where(
                    workflows.c.tenant == tenant,
                    workflows.c.workflow_id == workflow_id,
                    workflows.c.deleted_at.is_(None),
                )
                .values(deleted_at=now, updated_at=now)
            )
            if done.rowcount == 0:
                raise _not_found(workflow_id)
            await _forget_uses(connection, tenant, workflow_id)

    async def _must_get(self, tenant: TenantId, workflow_id: str) -> WorkflowView:
        found = await self.get(tenant, workflow_id)
        if found is None:
            raise _not_found(workflow_id)
        return found


def named_sources(spec: dict[str, Any]) -> set[str]:
    """Ids of stored sources a spec names; one it holds inline is its own."""
    inline = {item.get("id") for item in _objects(spec.get("sources"))}
    found: set[str] = set()
    for node in _objects(spec.get("nodes")):
        inside = node.get("metadata") if isinstance(node.get("metadata"), dict) else {}
        places = (node, inside or {})
        named = (place.get(key) for place in places for key in ("source_id", "source"))
        found.update(name for name in named if isinstance(name, str) and name not in inline)
    return found


async def _write_version(
    connection: AsyncConnection,
    tenant: TenantId,
    workflow_id: str,
    version: int,
    spec: dict[str, Any],
    now: datetime,
    definition_hash: str | None,
    created_by: str | None,
) -> None:
    await connection.execute(
        insert(workflow_versions),
        {
            "tenant": tenant,
            "workflow_id": workflow_id,
            "version": version,
            "spec": spec,
            "definition_hash": definition_hash,
            "created_at": now,
            "created_by": created_by,
        },
    )
    await _forget_uses(connection, tenant, workflow_id)
    uses = [
        {"tenant": tenant, "source_id": source, "workflow_id": workflow_id}
        for source in sorted(named_sources(spec))
    ]
    if uses:
        await connection.execute(insert(source_uses), uses)


async def _forget_uses(connection: AsyncConnection, tenant: TenantId, workflow_id: str) -> None:
    await connection.execute(
        delete(source_uses).where(
            source_uses.c.tenant == tenant, source_uses.c.workflow_id == workflow_id
        )
    )


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _not_found(workflow_id: str) -> NotFound:
    return NotFound(f"There is no workflow {workflow_id!r}.")
