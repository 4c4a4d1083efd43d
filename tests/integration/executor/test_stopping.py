"""Stopping an executor while the broker is dead: it stops, and another finishes the work (G10)."""

import asyncio

from tests.support.nats_server import NatsServer
from tests.support.stage import Stage, stage
from tests.support.waiting import eventually
from tests.support.workflows import chain


async def test_an_executor_stops_while_the_broker_is_away_and_loses_nothing(
    nats_server: NatsServer, nats_url: str
) -> None:
    async with stage(nats_url) as on:
        app = await on.executor(grace=0.5)
        asked = [await on.execute(chain(3)) for _ in range(20)]
        await eventually(lambda: _tasks(on, 20))
        nats_server.kill()
        async with asyncio.timeout(60):
            await app.stop()
        nats_server.start()
        await eventually(lambda: on.nc.is_connected, timeout=20)
        second = await on.executor()
        await on.worker()
        await on.idle()
        on.apps.remove(app)
        for one in asked:
            last = await second.bus.log.last("acme", one.execution_id, "execution.>")
            assert last is not None
            assert last.subject.endswith("execution.completed")


async def _tasks(on: Stage, count: int) -> bool:
    info = await on.js.stream_info(f"{on.settings.prefix}_TASKS")
    return info.state.messages == count
