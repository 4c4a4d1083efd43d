"""Audit on a real bus and a real database: each deed once, chained, whatever comes twice."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite

from agentflow.audit.app import create_app
from agentflow.audit.deeds import audit_deed, execution_deed
from agentflow.audit.figures import Figures
from agentflow.audit.recorder import Recorder
from agentflow.audit.settings import AuditSettings
from agentflow.bus.service import ServiceApp
from agentflow.contracts.audits import AuditRecord
from agentflow.contracts.ids import TenantId
from agentflow.contracts.message import Message
from agentflow.storage import migrate
from agentflow.storage.audit import AuditFilter, AuditLog
from agentflow.storage.engine import Database, open_database
from agentflow.storage.patience import PatientWriter
from agentflow.storage.settings import StorageSettings
from agentflow.telemetry.metrics import Metrics
from tests.support.bus_rig import Rig, rig
from tests.support.deliveries import deliver
from tests.support.events import START, Story
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

ACME, EVIL = TenantId("acme"), TenantId("evil")


@asynccontextmanager
async def audit(on: Rig, storage: StorageSettings) -> AsyncIterator[ServiceApp]:
    """The service in this process."""
    app = create_app(AuditSettings(retry_max=0.2), on.settings, storage)
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


async def publish(on: Rig, messages: Sequence[Message]) -> None:
    bus = await on.bus()
    futures = [await bus.send(message) for message in messages]
    await asyncio.gather(*futures)


async def all_recorded(on: Rig) -> bool:
    left = 0
    for stream, durable in (("EVENTS", "audit"), ("AUDIT", "audit_records")):
        info = await on.js.consumer_info(f"{on.settings.prefix}_{stream}", durable)
        left += (info.num_ack_pending or 0) + (info.num_pending or 0)
    return left == 0


def refused_login(tenant: str = "acme", **fields: object) -> AuditRecord:
    values = {
        "tenant": tenant,
        "resource": "auth",
        "verb": "failed",
        "occurred_at": START,
        "client_address": "10.0.0.1",
        "details": {"reason": "unknown"},
        **fields,
    }
    return AuditRecord.model_validate(values)


async def test_ended_executions_and_refused_logins_are_recorded(
    nats_url: str, storage_settings: StorageSettings, database: Database
) -> None:
    runs = [
        event
        for number in range(5)
        for event in Story("acme", f"exec_{number}")
        .accepted()
        .started()
        .done("a")
        .completed()
        .events
    ]
    async with rig(nats_url) as on, audit(on, storage_settings) as app:
        await publish(on, runs)
        await publish(on, [refused_login(), refused_login("evil")])
        await eventually(lambda: all_recorded(on), timeout=20)
        assert "agentflow_audit_records_total 7.0" in app.metrics.render().decode()
    log = AuditLog(database)
    executed = await log.list(ACME, AuditFilter(resource="workflow", verb="executed"))
    assert {item.resource_id for item in executed.items} == {f"exec_{n}" for n in range(5)}
    (refused,) = (await log.list(ACME, AuditFilter(resource="auth"))).items
    assert (refused.client_address, refused.details) == ("10.0.0.1", {"reason": "unknown"})
    assert (await log.verify(ACME)).model_dump(include={"valid", "checked"}) == {
        "valid": True,
        "checked": 6,
    }
    assert (await log.verify(EVIL)).checked == 1


async def test_a_redelivered_message_is_not_recorded_again(database: Database) -> None:
    writer = PatientWriter("test", write_timeout=10, retry_max=0.1, stopping=lambda: False)
    log = AuditLog(database)
    recorder = Recorder(log, writer, Figures(Metrics("test")))
    ends = deliver([Story("acme", f"exec_{n}").completed().events[0] for n in range(4)])
    told = deliver([refused_login(), refused_login()])
    for _ in range(2):
        await recorder.record(ends, execution_deed)
        await recorder.record(told, audit_deed)
    assert (await log.verify(ACME)).checked == 6


async def test_what_can_never_be_recorded_is_put_aside_and_the_rest_is_recorded(
    nats_url: str, storage_settings: StorageSettings, database: Database
) -> None:
    huge = refused_login(details={"number": 2**70})
    async with rig(nats_url) as on:
        await on.js.publish(f"{on.settings.prefix}.audit.acme.auth.failed", b"{}")
        await on.js.publish(f"{on.settings.prefix}.audit.acme", b"{}")
        await publish(on, [refused_login(), huge, refused_login(actor="x\0y")])
        async with audit(on, storage_settings):
            await eventually(lambda: all_recorded(on), timeout=20)
        letters = await on.dead_letters()
        assert [(letter.origin_sequence, letter.code) for letter in letters] == [
            (1, "malformed_audit_record"),
            (2, "malformed_audit_record"),
            (4, "unstorable_record"),
        ]
    report = await AuditLog(database).verify(ACME)
    assert (report.valid, report.checked) == (True, 2)


async def test_audit_waits_for_a_locked_database(nats_url: str, tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    storage = StorageSettings(database_url=f"sqlite:///{path}", busy_timeout=0.1)
    await migrate.upgrade(storage.database_url)
    async with rig(nats_url) as on, audit(on, storage) as app:
        async with aiosqlite.connect(path, isolation_level=None) as other:
            await other.execute("BEGIN IMMEDIATE")
            await publish(on, [refused_login(), refused_login()])
            await eventually(
                lambda: "agentflow_audit_held 1.0" in app.metrics.render().decode(), timeout=20
            )
            await other.execute("ROLLBACK")
        await eventually(lambda: all_recorded(on), timeout=20)
        assert await on.dead_letters() == []
    database = open_database(storage)
    assert (await AuditLog(database).verify(ACME)).checked == 2
    await database.close()


async def test_its_process_starts_records_and_ends_with_exit_code_0(
    nats_url: str, storage_settings: StorageSettings, database: Database
) -> None:
    async with rig(nats_url) as on:
        await publish(on, [refused_login()])
        process = ServiceProcess("audit", on.settings, storage_settings)
        await process.start()
        await eventually(lambda: all_recorded(on), timeout=30)
        code, output = await process.terminate()
    assert code == 0, output
    assert (await AuditLog(database).verify(ACME)).checked == 1


async def test_a_database_without_tables_ends_the_start_with_a_clear_line(
    nats_url: str, empty_url: str
) -> None:
    async with rig(nats_url) as on:
        process = ServiceProcess("audit", on.settings, StorageSettings(database_url=empty_url))
        await process.start()
        code, output = await process.exited()
    assert code == 1
    assert "agentflow db upgrade" in output
