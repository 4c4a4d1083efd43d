"""History on a real bus and a real database: nothing lost, nothing doubled, whatever is killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
import pytest

from agentflow.bus.service import ServiceApp
from agentflow.contracts.events import Event
from agentflow.contracts.ids import ExecutionId, TenantId
from agentflow.history.app import create_app
from agentflow.history.settings import HistorySettings
from agentflow.storage import migrate
from agentflow.storage.engine import Database, open_database
from agentflow.storage.executions import Executions
from agentflow.storage.settings import StorageSettings
from tests.integration.history.projecting import everything
from tests.support.bus_rig import Rig, rig
from tests.support.events import Story
from tests.support.servers import PostgresServer
from tests.support.service_process import ServiceProcess
from tests.support.waiting import eventually

ACME = TenantId("acme")


@asynccontextmanager
async def history(
    on: Rig, storage: StorageSettings, **settings: float
) -> AsyncIterator[ServiceApp]:
    """The service in this process."""
    values = {"retry_max": 0.2, **settings}
    app = create_app(HistorySettings(**values), on.settings, storage)  # type: ignore[arg-type]  # shortened
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


async def publish(on: Rig, events: list[Event]) -> None:
    bus = await on.bus()
    futures = [await bus.send(event) for event in events]
    await asyncio.gather(*futures)


async def stream_of(on: Rig) -> list[tuple[int, str]]:
    """Place and type of every event in the stream."""
    name = f"{on.settings.prefix}_EVENTS"
    last = (await on.js.stream_info(name)).state.last_seq
    messages = [await on.js.get_msg(name, sequence) for sequence in range(1, last + 1)]
    return [
        (message.seq or 0, ".".join((message.subject or "").split(".")[-2:]))
        for message in messages
    ]


async def rows_of(database: Database) -> list[tuple[int, str]]:
    """Place and type of every event that has a row."""
    rows = await everything(database)
    found = [*rows["node_executions"], *rows["execution_events"]]
    return sorted((row[2], row[3]) for row in found)


async def unacked(on: Rig) -> int:
    info = await on.js.consumer_info(f"{on.settings.prefix}_EVENTS", "history")
    return (info.num_ack_pending or 0) + (info.num_pending or 0)


def stories(count: int) -> list[Event]:
    return [
        event
        for number in range(count)
        for event in Story("acme", f"exec_{number}")
        .accepted()
        .started()
        .retrying("a")
        .done("a", 2)
        .done("b")
        .completed()
        .events
    ]


async def test_the_rows_equal_the_stream(
    nats_url: str, storage_settings: StorageSettings, database: Database
) -> None:
    async with rig(nats_url) as on, history(on, storage_settings) as app:
        await publish(on, stories(40))
        await eventually(lambda: unacked_is_zero(on), timeout=20)
        assert await rows_of(database) == await stream_of(on)
        figures = app.metrics.render().decode()
        assert "agentflow_history_events_total 240.0" in figures
        assert "agentflow_history_projected_sequence 240.0" in figures
        assert "agentflow_history_lag_seconds " in figures


async def unacked_is_zero(on: Rig) -> bool:
    return await unacked(on) == 0


async def test_a_poison_goes_to_the_dead_letters_and_the_rest_is_stored(
    nats_url: str, storage_settings: StorageSettings, database: Database
) -> None:
    async with rig(nats_url) as on:
        subject = f"{on.settings.prefix}.events.acme.exec_0.node.completed"
        await on.js.publish(subject, b'{"not": "an event"}')
        await publish(on, stories(3))
        await on.js.publish(subject, b"\xff")
        async with history(on, storage_settings):
            await eventually(lambda: unacked_is_zero(on), timeout=20)
        letters = await on.dead_letters()
        assert [(letter.code, letter.origin_sequence) for letter in letters] == [
            ("malformed_event", 1),
            ("malformed_event", 20),
        ]
        assert letters[0].origin_subject == subject
        good = [line for line in await stream_of(on) if line[0] not in (1, 20)]
        assert await rows_of(database) == good


@pytest.mark.slow
@pytest.mark.postgres
async def test_kill_9_in_the_middle_loses_and_doubles_nothing(
    nats_url: str, postgres_url: str, tmp_path: Path
) -> None:
    """On both databases at once: what was in hand comes again only when its lease runs out."""
    urls = (postgres_url, f"sqlite:///{tmp_path / 'killed.db'}")
    await asyncio.gather(*(kill_and_compare(nats_url, url) for url in urls))


async def kill_and_compare(nats_url: str, database_url: str) -> None:
    storage = StorageSettings(database_url=database_url)
    await migrate.upgrade(database_url)
    database = open_database(storage)
    async with rig(nats_url) as on:
        process = ServiceProcess("history", on.settings, storage)
        await publish(on, stories(200))
        for _ in range(3):
            await process.start()
            await more_rows(database)
            await process.kill()
            await publish(on, Story("acme", "exec_late").accepted().events)
        await process.start()
        await eventually(lambda: unacked_is_zero(on), timeout=80)
        code, output = await process.terminate()
        assert code == 0, output
        assert await rows_of(database) == await stream_of(on)
    await database.close()


async def more_rows(database: Database) -> None:
    """Wait until history is writing."""
    before = len(await rows_of(database))

    async def grew() -> bool:
        return len(await rows_of(database)) > before

    await eventually(grew, timeout=30, interval=0.001)


@pytest.mark.postgres
async def test_history_catches_up_by_itself_when_the_database_comes_back(nats_url: str) -> None:
    """Down and up again while events keep coming; nothing is given up, nobody restarts history."""
    with PostgresServer() as server:
        storage = StorageSettings(database_url=server.url("postgres"))
        await migrate.upgrade(storage.database_url)
        async with rig(nats_url) as on, history(on, storage) as app:
            await publish(on, stories(5))
            await eventually(lambda: unacked_is_zero(on), timeout=20)
            server.kill()
            await publish(on, stories(20)[30:])
            await eventually(
                lambda: "agentflow_history_held 1.0" in app.metrics.render().decode(), timeout=20
            )
            assert await unacked(on) == 90
            assert await on.dead_letters() == []
            server.start()
            await eventually(lambda: unacked_is_zero(on), timeout=30)
            assert "agentflow_history_held 0.0" in app.metrics.render().decode()
            database = open_database(storage)
            assert await rows_of(database) == await stream_of(on)
            await database.close()
            assert await on.dead_letters() == []


async def test_history_waits_for_a_locked_sqlite_file(nats_url: str, tmp_path: Path) -> None:
    path = tmp_path / "locked.db"
    storage = StorageSettings(database_url=f"sqlite:///{path}", busy_timeout=0.1)
    await migrate.upgrade(storage.database_url)
    async with rig(nats_url) as on, history(on, storage) as app:
        async with aiosqlite.connect(path, isolation_level=None) as other:
            await other.execute("BEGIN IMMEDIATE")
            await publish(on, stories(2))
            await eventually(
                lambda: "agentflow_history_held 1.0" in app.metrics.render().decode(), timeout=20
            )
            await other.execute("ROLLBACK")
        await eventually(lambda: unacked_is_zero(on), timeout=20)
        database = open_database(storage)
        found = await Executions(database).get(ACME, ExecutionId("exec_1"))
        await database.close()
        assert found is not None
        assert found.status == "COMPLETED"


async def test_stopping_while_the_database_is_down_hands_the_batch_back(
    nats_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "locked.db"
    storage = StorageSettings(database_url=f"sqlite:///{path}", busy_timeout=0.1)
    await migrate.upgrade(storage.database_url)
    async with rig(nats_url) as on:
        async with aiosqlite.connect(path, isolation_level=None) as other:
            await other.execute("BEGIN IMMEDIATE")
            async with history(on, storage) as app:
                await publish(on, stories(2))
                await eventually(
                    lambda: "agentflow_history_held 1.0" in app.metrics.render().decode(),
                    timeout=20,
                )
            assert await unacked(on) == 12
            await other.execute("ROLLBACK")
        async with history(on, storage):
            await eventually(lambda: unacked_is_zero(on), timeout=30)


async def test_a_database_without_tables_ends_the_start_with_a_clear_line(
    nats_url: str, empty_url: str
) -> None:
    async with rig(nats_url) as on:
        process = ServiceProcess("history", on.settings, StorageSettings(database_url=empty_url))
        await process.start()
        code, output = await process.exited()
    assert code == 1
    assert "cannot start" in output
    assert "agentflow db upgrade" in output


async def test_sigterm_ends_it_with_exit_code_0(
    nats_url: str, storage_settings: StorageSettings, database: Database
) -> None:
    async with rig(nats_url) as on:
        process = ServiceProcess("history", on.settings, storage_settings)
        await publish(on, stories(1))
        await process.start()
        await eventually(lambda: unacked_is_zero(on), timeout=30)
        code, output = await process.terminate()
    assert code == 0, output
    assert len(await rows_of(database)) == 6


async def test_each_tenant_reads_its_own_executions_only(
    nats_url: str, storage_settings: StorageSettings, database: Database
) -> None:
    mine = Story("acme", "exec_same").accepted(workflow_name="mine").events
    yours = Story("evil", "exec_same").accepted(workflow_name="yours").events
    async with rig(nats_url) as on, history(on, storage_settings):
        await publish(on, [*mine, *yours])
        await eventually(lambda: unacked_is_zero(on), timeout=20)
    store = Executions(database)
    for tenant, name in (("acme", "mine"), ("evil", "yours")):
        found = await store.get(TenantId(tenant), ExecutionId("exec_same"))
        assert found is not None
        assert found.workflow_name == name
