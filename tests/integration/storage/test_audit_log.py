"""The audit log: nothing is changed, nothing goes missing, and whoever tries is found out."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from agentflow.contracts.ids import TenantId
from agentflow.storage.audit import AuditFilter, AuditLog, NewRecord
from agentflow.storage.audit_chain import GENESIS
from agentflow.storage.engine import Database
from agentflow.storage.errors import BadCursor
from agentflow.storage.tables import audit_logs
from tests.support.databases import POSTGRES_ONLY
from tests.support.events import START

ACME, EVIL = TenantId("acme"), TenantId("evil")


def record(number: int, **fields: object) -> NewRecord:
    values = {
        "record_id": f"r{number}",
        "resource": "workflow",
        "verb": "executed",
        "occurred_at": START + timedelta(seconds=number),
        "actor": "ann",
        "details": {"number": number, "a": "ä\0"},
        **fields,
    }
    return NewRecord(**values)  # type: ignore[arg-type]  # shortened for tests


async def filled(database: Database, count: int = 5) -> AuditLog:
    log = AuditLog(database)
    assert await log.append(ACME, [record(n) for n in range(count)], START) == count
    return log


async def test_records_are_chained_in_the_order_they_came(database: Database) -> None:
    log = await filled(database)
    page = await log.list(ACME, order="oldest")
    assert [item.position for item in page.items] == [1, 2, 3, 4, 5]
    assert page.items[0].prev_hash == GENESIS
    for before, after in zip(page.items, page.items[1:], strict=False):
        assert after.prev_hash == before.hash
    assert page.items[2].details == {"number": 2, "a": "ä\0"}
    assert (await log.verify(ACME)).model_dump() == {
        "valid": True,
        "checked": 5,
        "broken_at": None,
        "reason": None,
    }


async def test_a_record_that_comes_again_is_not_recorded_again(database: Database) -> None:
    log = await filled(database)
    again = [record(3), record(9), record(9), record(4)]
    assert await log.append(ACME, again, START) == 1
    assert (await log.verify(ACME)).checked == 6


async def test_every_tenant_has_its_own_chain_and_sees_no_other(database: Database) -> None:
    log = await filled(database)
    await log.append(EVIL, [record(0)], START)
    assert [item.position for item in (await log.list(EVIL)).items] == [1]
    assert (await log.verify(EVIL)).checked == 1
    assert len((await log.list(ACME)).items) == 5
    assert (await log.verify(TenantId("nobody"))).valid


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_logs SET actor = 'bob' WHERE position = 2",
        "DELETE FROM audit_logs WHERE position = 2",
        "DELETE FROM audit_logs",
        "UPDATE audit_logs SET hash = hash",
    ],
)
async def test_the_database_itself_refuses_to_change_a_record(
    database: Database, statement: str
) -> None:
    log = await filled(database)
    async with database.write() as connection:
        with pytest.raises(DBAPIError, match="append-only"):
            await connection.execute(text(statement))
        await connection.rollback()
    assert (await log.verify(ACME)).checked == 5


@pytest.mark.parametrize("kind", POSTGRES_ONLY)
async def test_postgresql_refuses_to_empty_the_log(kind: str, database: Database) -> None:
    async with database.write() as connection:
        with pytest.raises(DBAPIError, match="append-only"):
            await connection.execute(text("TRUNCATE audit_logs"))
        await connection.rollback()


async def tamper(database: Database, statement: str) -> None:
    """What somebody with the rights of the owner could do: the triggers go first."""
    async with database.write() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text("ALTER TABLE audit_logs DISABLE TRIGGER ALL"))
        else:
            for verb in ("UPDATE", "DELETE"):
                await connection.execute(text(f"DROP TRIGGER audit_logs_refuse_{verb}"))
        await connection.execute(text(statement))


TAMPERINGS = [
    ("UPDATE audit_logs SET actor = 'bob' WHERE position = 3", 3, "content was changed"),
    ("UPDATE audit_logs SET details = '{}' WHERE position = 1", 1, "content was changed"),
    ("UPDATE audit_logs SET tenant = 'evil' WHERE position = 2", 2, "missing"),
    ("DELETE FROM audit_logs WHERE position = 3", 3, "missing"),
    ("DELETE FROM audit_logs WHERE position = 1", 1, "missing"),
    ("DELETE FROM audit_logs WHERE position = 5", 5, "go on to record 5"),
    ("DELETE FROM audit_logs", 1, "go on to record 5"),
    ("UPDATE audit_logs SET position = 9 WHERE position = 5", 5, "go on to record 5"),
    ("DELETE FROM audit_heads", 1, "follows the end"),
]


@pytest.mark.parametrize(("statement", "place", "reason"), TAMPERINGS)
async def test_whoever_gets_round_the_triggers_is_found_out(
    database: Database, statement: str, place: int, reason: str
) -> None:
    log = await filled(database)
    await tamper(database, statement)
    report = await log.verify(ACME)
    assert not report.valid
    assert report.broken_at == place
    assert reason in (report.reason or "")


async def test_a_forged_record_at_the_end_is_found_out(database: Database) -> None:
    log = await filled(database)
    async with database.write() as connection:
        last = (
            await connection.execute(
                select(audit_logs).where(audit_logs.c.tenant == ACME, audit_logs.c.position == 5)
            )
        ).one()
        forged = {**last._asdict(), "position": 6, "record_id": "forged", "prev_hash": last.hash}
        await connection.execute(insert(audit_logs), forged)
    report = await log.verify(ACME)
    assert (report.valid, report.broken_at) == (False, 6)


async def test_writers_at_the_same_time_do_not_fork_the_chain(database: Database) -> None:
    log = AuditLog(database)
    batches = [[record(10 * batch + n) for n in range(10)] for batch in range(8)]
    # Every batch twice, as two audit processes that hear the same message would.
    await asyncio.gather(*(log.append(ACME, batch, START) for batch in batches * 2))
    report = await log.verify(ACME)
    assert (report.valid, report.checked) == (True, 80)


async def test_lists_narrow_sort_and_page(database: Database) -> None:
    log = await filled(database)
    other = {"resource": "auth", "verb": "failed", "actor": None, "client_address": "10.0.0.1"}
    await log.append(ACME, [record(10, **other)], START)
    (found,) = (await log.list(ACME, AuditFilter(resource="auth", verb="failed"))).items
    assert found.client_address == "10.0.0.1"
    since = AuditFilter(actor="ann", occurred_from=START + timedelta(seconds=3))
    assert [i.record_id for i in (await log.list(ACME, since)).items] == ["r4", "r3"]
    before = AuditFilter(occurred_to=START + timedelta(seconds=1))
    assert [i.record_id for i in (await log.list(ACME, before)).items] == ["r0"]
    page = await log.list(ACME, limit=4)
    assert [i.position for i in page.items] == [6, 5, 4, 3]
    rest = await log.list(ACME, limit=4, cursor=page.next_cursor)
    assert [i.position for i in rest.items] == [2, 1]
    assert rest.next_cursor is None
    for bad in ("x", "-1", "9" * 30, "١"):
        with pytest.raises(BadCursor):
            await log.list(ACME, cursor=bad)


async def test_words_of_strangers_are_cut_to_what_the_log_can_hold(database: Database) -> None:
    log = AuditLog(database)
    await log.append(ACME, [record(1, actor="x\0" * 5000, client_address="\0")], START)
    (found,) = (await log.list(ACME)).items
    assert len(found.actor or "") == 1000
    assert (await log.verify(ACME)).valid
