"""The projectors' loop: batches in order, all or nothing, nothing lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from agentflow.bus import batch_loop
from agentflow.bus.broker import make_broker
from agentflow.bus.bus import Bus
from agentflow.bus.consumer import Consumer, Delivery, consume_batches
from agentflow.contracts.events import NodeCompleted
from tests.support.bus_rig import Rig, completed, rig
from tests.support.servers import NatsServer
from tests.support.waiting import eventually

OnBatch = Callable[[list[Delivery]], Awaitable[None]]


@asynccontextmanager
async def projector(on: Rig, handler: OnBatch, max_batch: int = 100) -> AsyncIterator[Consumer]:
    broker = make_broker(on.settings, "projector")
    bus = Bus(broker, on.settings)
    consumer = consume_batches(
        broker,
        bus,
        stream="EVENTS",
        durable="history",
        subjects=[f"{on.settings.prefix}.events.>"],
        handler=handler,
        message=NodeCompleted,
        max_batch=max_batch,
    )
    await bus.open()
    await broker.start()
    try:
        yield consumer
    finally:
        await bus.close()
        await broker.stop()


async def publish(on: Rig, count: int, first: int = 0) -> None:
    bus = await on.bus()
    futures = [await bus.send(completed("e", f"n{n}")) for n in range(first, first + count)]
    await asyncio.gather(*futures)


async def acked(on: Rig) -> int:
    info = await on.js.consumer_info(f"{on.settings.prefix}_EVENTS", "history")
    assert info.ack_floor is not None
    floor: int = info.ack_floor.stream_seq
    return floor


async def test_all_messages_come_in_order_in_batches_and_are_acked(nats_url: str) -> None:
    batches: list[list[int]] = []

    async def project(batch: list[Delivery]) -> None:
        batches.append([delivery.sequence for delivery in batch])
        await asyncio.sleep(0.002)

    async with rig(nats_url) as on:
        await publish(on, 1000)
        async with projector(on, project):
            await eventually(lambda: sum(map(len, batches)) == 1000)
            flat = [sequence for batch in batches for sequence in batch]
            assert flat == list(range(1, 1001))
            assert max(map(len, batches)) == 100
            assert len(batches) < 100
            await eventually(lambda: _is(on, 1000))


async def _is(on: Rig, floor: int) -> bool:
    return await acked(on) == floor


async def test_a_batch_that_fails_comes_again_whole_and_nothing_is_lost(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_loop, "backoff", lambda _: 0.02)
    written: list[int] = []
    calls = 0

    async def project(batch: list[Delivery]) -> None:
        nonlocal calls
        calls += 1
        if calls in (2, 3):
            raise ConnectionError("the database is away")
        written.extend(delivery.sequence for delivery in batch)

    async with rig(nats_url) as on:
        await publish(on, 500)
        async with projector(on, project):
            await eventually(lambda: len(set(written)) == 500)
            await eventually(lambda: _is(on, 500))
            assert len(written) == 500


async def test_a_handler_that_keeps_failing_does_not_spin(nats_url: str) -> None:
    calls = 0

    async def project(batch: list[Delivery]) -> None:
        nonlocal calls
        calls += 1
        raise ConnectionError("the database is away")

    async with rig(nats_url) as on:
        await publish(on, 10)
        async with projector(on, project):
            await eventually(lambda: calls >= 2)
            await asyncio.sleep(1)
            assert calls <= 5


async def test_a_stop_settles_the_batch_in_hand_and_hands_back_the_rest(nats_url: str) -> None:
    first: list[int] = []
    second: list[int] = []
    begun = asyncio.Event()

    async def slowly(batch: list[Delivery]) -> None:
        begun.set()
        await asyncio.sleep(0.2)
        first.extend(delivery.sequence for delivery in batch)

    async def rest(batch: list[Delivery]) -> None:
        second.extend(delivery.sequence for delivery in batch)

    async with rig(nats_url) as on:
        await publish(on, 50)
        async with projector(on, slowly, max_batch=10) as consumer:
            await begun.wait()
            await consumer.drain(grace=5)
        assert first == list(range(1, 11))
        # `history` has a lease of 30 s: that these come at once shows they were handed back.
        async with projector(on, rest):
            await eventually(lambda: len(set(second)) == 40, timeout=15)
        assert sorted(set(first + second)) == list(range(1, 51))


async def test_the_loop_goes_on_after_the_broker_was_killed(nats_server: NatsServer) -> None:
    seen: list[int] = []

    async def project(batch: list[Delivery]) -> None:
        seen.extend(delivery.sequence for delivery in batch)

    async with rig(nats_server.url) as on, projector(on, project):
        await publish(on, 100)
        await eventually(lambda: len(set(seen)) == 100)
        nats_server.kill()
        await asyncio.sleep(0.3)
        nats_server.start()
        await publish(on, 100, first=100)
        await eventually(lambda: len(set(seen)) == 200, timeout=30)
