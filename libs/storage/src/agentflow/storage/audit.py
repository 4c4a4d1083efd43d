"""The audit log: records are appended, read and checked; there is no other verb.

Appending locks the end of the tenant's chain, so two writers cannot fork it, and a record that
is there already (same `record_id`) is not appended again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import orjson
from sqlalchemy import Row, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from agentflow.contracts.ids import TenantId
from agentflow.storage.audit_chain import GENESIS, broken_link, details_text, record_hash
from agentflow.storage.engine import Database
from agentflow.storage.errors import BadCursor
from agentflow.storage.pages import clamp_limit
from agentflow.storage.tables import audit_heads, audit_logs
from agentflow.storage.views import AuditView, ChainReport, Page

_CHECK_ROWS = 1000
_MAX_WORD = 1000


@dataclass(frozen=True)
class NewRecord:
    """A deed to be recorded. `record_id` names the message it came from, once and for all."""

    record_id: str
    resource: str
    verb: str
    occurred_at: datetime
    actor: str | None = None
    resource_id: str | None = None
    request_id: str | None = None
    client_address: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditFilter:
    """What a list is narrowed to; `occurred_from` is inclusive, `occurred_to` exclusive."""

    resource: str | None = None
    verb: str | None = None
    actor: str | None = None
    resource_id: str | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None


class AuditLog:
    """One chain per tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database
        first = postgresql.insert if database.dialect == "postgresql" else sqlite.insert
        self._open_chain = first(audit_heads).on_conflict_do_nothing()

    async def append(
        self, tenant: TenantId, records: Sequence[NewRecord], recorded_at: datetime
    ) -> int:
        """Append what is not there yet, in one transaction; how many were."""
        if not records:
            return 0
        async with self._database.write() as connection:
            position, last_hash = await self._lock_head(connection, tenant)
            known = await _known(connection, tenant, [record.record_id for record in records])
            rows = []
            for record in records:
                if record.record_id in known:
                    continue
                known.add(record.record_id)
                position += 1
                row = _row(tenant, position, record, recorded_at)
                row["prev_hash"] = last_hash
                row["hash"] = last_hash = record_hash(last_hash, row)
                rows.append(row)
            if rows:
                await connection.execute(insert(audit_logs), rows)
                await connection.execute(
                    update(audit_heads)
                    .where(audit_heads.c.tenant == tenant)
                    .values(position=position, hash=last_hash)
                )
        return len(rows)

    async def list(
        self,
        tenant: TenantId,
        where: AuditFilter | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
        order: Literal["newest", "oldest"] = "newest",
    ) -> Page[AuditView]:
        """A page of the tenant's records; the cursor is the last position. Raises BadCursor."""
        limit = clamp_limit(limit)
        query = select(audit_logs).where(audit_logs.c.tenant == tenant)
        for name in ("resource", "verb", "actor", "resource_id"):
            if (value := getattr(where, name, None)) is not None:
                query = query.where(audit_logs.c[name] == value)
        if where is not None and where.occurred_from is not None:
            query = query.where(audit_logs.c.occurred_at >= where.occurred_from)
        if where is not None and where.occurred_to is not None:
            query = query.where(audit_logs.c.occurred_at < where.occurred_to)
        place = audit_logs.c.position
        if cursor is not None:
            last = _position(cursor)
            query = query.where(place < last if order == "newest" else place > last)
        query = query.order_by(place.desc() if order == "newest" else place.asc())
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(limit + 1))).all()
        items = tuple(_view(row) for row in rows[:limit])
        return Page(items=items, next_cursor=str(items[-1].position) if len(rows) > limit else None)

    async def verify(self, tenant: TenantId) -> ChainReport:
        """Walk the tenant's whole chain and say whether, and where, it is broken."""
        async with self._database.read() as connection:
            end = await _head(connection, tenant)
            position, last_hash = 0, GENESIS
            while rows := await _between(connection, tenant, position, end[0]):
                for row in rows:
                    reason = broken_link(last_hash, position + 1, row)
                    if reason is not None:
                        return _broken(position, reason)
                    position, last_hash = row["position"], row["hash"]
            if (position, last_hash) != end:
                return _broken(position, f"the chain should go on to record {end[0]}")
            # Rows past the end are appends made since, unless the end has not moved.
            beyond = await _between(connection, tenant, position, None)
            if beyond and await _head(connection, tenant) == end:
                return _broken(position, "a record follows the end of the chain")
        return ChainReport(valid=True, checked=position)

    async def _lock_head(self, connection: AsyncConnection, tenant: TenantId) -> tuple[int, str]:
        start = {"tenant": tenant, "position": 0, "hash": GENESIS}
        await connection.execute(self._open_chain, start)
        found = await connection.execute(
            select(audit_heads.c.position, audit_heads.c.hash)
            .where(audit_heads.c.tenant == tenant)
            .with_for_update()
        )
        row = found.one()
        return int(row.position), str(row.hash)


async def _known(connection: AsyncConnection, tenant: TenantId, ids: list[str]) -> set[str]:
    found: set[str] = set()
    for index in range(0, len(ids), 500):
        rows = await connection.execute(
            select(audit_logs.c.record_id).where(
                audit_logs.c.tenant == tenant,
                audit_logs.c.record_id.in_(ids[index : index + 500]),
            )
        )
        found.update(rows.scalars())
    return found


async def _head(connection: AsyncConnection, tenant: TenantId) -> tuple[int, str]:
    found = await connection.execute(
        select(audit_heads.c.position, audit_heads.c.hash).where(audit_heads.c.tenant == tenant)
    )
    row = found.one_or_none()
    return (0, GENESIS) if row is None else (int(row.position), str(row.hash))


async def _between(
    connection: AsyncConnection, tenant: TenantId, after: int, upto: int | None
) -> list[dict[str, Any]]:
    query = (
        select(audit_logs)
        .where(audit_logs.c.tenant == tenant, audit_logs.c.position > after)
        .order_by(audit_logs.c.position)
        .limit(_CHECK_ROWS)
    )
    if upto is not None:
        query = query.where(audit_logs.c.position <= upto)
    return [dict(row) for row in (await connection.execute(query)).mappings()]


def _broken(checked: int, reason: str) -> ChainReport:
    return ChainReport(valid=False, checked=checked, broken_at=checked + 1, reason=reason)


def _row(
    tenant: TenantId, position: int, record: NewRecord, recorded_at: datetime
) -> dict[str, Any]:
    return {
        "tenant": tenant,
        "position": position,
        "record_id": record.record_id,
        "resource": _word(record.resource),
        "verb": _word(record.verb),
        "occurred_at": record.occurred_at,
        "recorded_at": recorded_at,
        "actor": _word(record.actor),
        "resource_id": _word(record.resource_id),
        "request_id": _word(record.request_id),
        "client_address": _word(record.client_address),
        "details": details_text(record.details),
    }


def _word(text: str | None) -> str | None:
    """What an index and every database can hold; strangers choose some of these words."""
    return None if text is None else text[:_MAX_WORD].replace("\0", "\ufffd")


def _view(row: Row[Any]) -> AuditView:
    values = row._asdict()
    return AuditView(**{**values, "details": orjson.loads(values["details"])})


def _position(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise BadCursor(f"The cursor {cursor[:40]!r} cannot be read.")
    return int(cursor)
