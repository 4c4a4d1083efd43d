"""Stored sources: named connections to providers. Secrets appear in them only as names."""

from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from agentflow.contracts.ids import TenantId
from agentflow.contracts.spec import Source
from agentflow.storage.engine import Database
from agentflow.storage.errors import AlreadyExists, InUse, NotFound, StaleVersion
from agentflow.storage.pages import clamp_limit, decode_cursor, encode_cursor
from agentflow.storage.tables import source_uses, sources
from agentflow.storage.views import Page, SourceView

_COLUMNS = [sources.c[name] for name in SourceView.model_fields]
_NAMED = 5


class Sources:
    """Takes `contracts.Source`, gives views with revision and times."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, tenant: TenantId, source: Source, *, now: datetime, created_by: str | None = None
    ) -> SourceView:
        """A new source; raises AlreadyExists."""
        row = {
            "tenant": tenant,
            "source_id": source.id,
            **_content(source),
            "revision": 1,
            "created_at": now,
            "updated_at": now,
            "created_by": created_by,
        }
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(sources), row)
        except IntegrityError as error:
            raise AlreadyExists(f"There is a source {source.id!r} already.") from error
        return SourceView(**{name: row[name] for name in SourceView.model_fields})

    async def replace(
        self,
        tenant: TenantId,
        source: Source,
        *,
        now: datetime,
        expected_revision: int | None = None,
    ) -> SourceView:
        """New content under the same id; raises NotFound or StaleVersion."""
        async with self._database.write() as connection:
            found = await connection.execute(
                select(sources.c.revision)
                .where(sources.c.tenant == tenant, sources.c.source_id == source.id)
                .with_for_update()
            )
            revision = found.scalar()
            if revision is None:
                raise _not_found(source.id)
            if expected_revision is not None and expected_revision != revision:
                raise StaleVersion(
                    f"Source {source.id!r} is at revision {revision}, not {expected_revision}.",
                    hint="Read it again and apply your change to what is there now.",
                )
            changed = await connection.execute(
                update(sources)
                .where(sources.c.tenant == tenant, sources.c.source_id == source.id)
                .values(**_content(source), revision=int(revision) + 1, updated_at=now)
                .returning(*_COLUMNS)
            )
            return SourceView(**changed.one()._asdict())

    async def get(self, tenant: TenantId, source_id: str) -> SourceView | None:
        """The source; None when there is none, or not yours."""
        query = select(*_COLUMNS).where(
            sources.c.tenant == tenant, sources.c.source_id == source_id
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else SourceView(**row._asdict())

    async def list(
        self,
        tenant: TenantId,
        *,
        kind: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
        skip: int = 0,
    ) -> Page[SourceView]:
        """A page, latest change first. Raises BadCursor."""
        limit = clamp_limit(limit)
        query = select(*_COLUMNS).where(sources.c.tenant == tenant)
        if kind is not None:
            query = query.where(sources.c.kind == kind)
        if cursor is not None:
            at, last_id = decode_cursor(cursor)
            query = query.where(
                or_(
                    sources.c.updated_at < at,
                    and_(sources.c.updated_at == at, sources.c.source_id < last_id),
                )
            )
        query = query.order_by(sources.c.updated_at.desc(), sources.c.source_id.desc())
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(limit + 1).offset(max(0, skip)))).all()
        items = tuple(SourceView(**row._asdict()) for row in rows[:limit])
        more = len(rows) > limit
        after = encode_cursor(items[-1].updated_at, items[-1].source_id) if more else None
        return Page(items=items, next_cursor=after)

    async def delete(self, tenant: TenantId, source_id: str) -> None:
        """Raises NotFound, or InUse while the latest version of a workflow names it."""
        async with self._database.write() as connection:
            users = await connection.execute(
                select(source_uses.c.workflow_id)
                .where(source_uses.c.tenant == tenant, source_uses.c.source_id == source_id)
                .order_by(source_uses.c.workflow_id)
                .limit(_NAMED)
            )
            names = [str(name) for name in users.scalars()]
            if names:
                raise InUse(
                    f"Source {source_id!r} is named by {', '.join(names)}.",
                    hint="Change those workflows first.",
                )
            gone = await connection.execute(
                delete(sources).where(sources.c.tenant == tenant, sources.c.source_id == source_id)
            )
            if gone.rowcount == 0:
                raise _not_found(source_id)


def _content(source: Source) -> dict[str, Any]:
    return {
        "kind": source.kind,
        "name": source.name,
        "description": source.description,
        "config": source.config,
    }


def _not_found(source_id: str) -> NotFound:
    return NotFound(f"There is no source {source_id!r}.")
