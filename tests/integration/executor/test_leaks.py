"""Nothing of an execution stays in the executor or on the server once it has ended."""

import asyncio
import gc

from agentflow.bus.service import ServiceApp
from agentflow.executor.run import ExecutionRun
from tests.support.servers import NatsServer
from tests.support.stage import Stage, crash, stage
from tests.support.waiting import eventually
from tests.support.workflows import fan

MANY = 400


def weight(app: ServiceApp) -> tuple[int, int, int]:
    """Subscriptions, unanswered publishes, runs."""
    gc.collect()
    runs = sum(isinstance(found, ExecutionRun) for found in gc.get_objects())
    return len(app.bus.nc._subs), app.bus.publisher.unanswered, runs


async def some(on: Stage, count: int) -> None:
    asked = [await on.execute(fan(2)) for _ in range(count)]
    for one in asked:
        assert (await one.result(timeout=60))["status"] == "COMPLETED"
    await on.idle()


async def test_many_executions_leave_nothing_behind(nats_url: str) -> None:
    async with stage(nats_url) as on:
        app = await on.executor()
        await on.worker()
        await some(on, 5)
        await asyncio.sleep(0.5)
        before = weight(app)
        subscribed = len(on.nc._subs)
        tasks = len(asyncio.all_tasks())
        await some(on, MANY)
        # The stage itself keeps one subscription, and its task, for each caller.
        callers = len(on.nc._subs) - subscribed
        assert callers == MANY
        await eventually(lambda: weight(app) == before)
        await eventually(lambda: len(asyncio.all_tasks()) - callers <= tasks)


async def test_taking_over_leaves_no_consumer_on_the_stream(
    nats_server: NatsServer, nats_url: str
) -> None:
    async with stage(nats_url) as on:
        first = await on.executor()
        asked = [await on.execute(fan(2)) for _ in range(50)]
        await eventually(lambda: _tasks(on, 50))
        await crash(first)
        second = await on.executor()
        await on.worker()
        for one in asked:
            assert (await one.result(timeout=60))["status"] == "COMPLETED"
        await on.idle()
        await eventually(lambda: _only_durables(on), timeout=20)
        assert len(second.bus.nc._subs) <= 6


async def _tasks(on: Stage, count: int) -> bool:
    info = await on.js.stream_info(f"{on.settings.prefix}_TASKS")
    return info.state.messages == count


async def _only_durables(on: Stage) -> bool:
    found = await on.js.consumers_info(f"{on.settings.prefix}_EVENTS")
    return {info.name for info in found} == {"history", "audit"}
