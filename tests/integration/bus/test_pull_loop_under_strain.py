"""The consumer loop when slots are held for long, and when the connection goes and comes back."""

import asyncio
from functools import partial

from agentflow.bus.bus import Bus
from agentflow.bus.consumer import Delivery, consume
from tests.support.bus_rig import Rig, command, number_of, rig
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer
from tests.support.waiting import eventually

SLOTS = 8


async def test_slots_held_for_long_do_not_slow_down_the_others(nats_url: str) -> None:
    """Five of eight slots are taken: the other three were refilled once a second."""
    release = asyncio.Event()
    done: list[int] = []

    async def on_execute(delivery: Delivery) -> None:
        if number_of(delivery) < 5:
            await release.wait()
        done.append(number_of(delivery))
        await delivery.ack()

    async with rig(nats_url) as on:
        bus = await on.bus()
        for number in range(5):
            await bus.publish(command(number))
        consumer = await on.consumer(on_execute, slots=SLOTS, ack_wait=30)
        await eventually(lambda: consumer.in_hand == 5)
        for number in range(5, 105):
            await bus.publish(command(number))
        # Three a second would take 33 s.
        await eventually(lambda: len(done) == 100, timeout=15)
        release.set()
        await eventually(lambda: len(done) == 105)


async def test_a_cut_connection_does_not_double_the_slots(
    nats_server: NatsServer, nats_url: str
) -> None:
    """The server keeps pull requests over a short cut; asked again it would send twice."""
    release = asyncio.Event()
    running = most = 0

    async def on_execute(delivery: Delivery) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        await delivery.ack()

    async with Proxy("127.0.0.1", nats_server.port) as proxy, rig(nats_url) as on:
        direct = await on.bus()
        behind = await on.bus(f"nats://127.0.0.1:{proxy.port}")
        consumer = consume(
            behind.broker,
            behind,
            message=type(command()),
            durable="executor",
            handler=on_execute,
            slots=SLOTS,
            ack_wait=30,
        )
        await behind.broker.start()
        await eventually(lambda: _waiting(on))
        for _ in range(3):
            before = behind.nc.stats["reconnects"]
            proxy.cut()
            await eventually(partial(_reconnected, behind, before), timeout=20)
            await eventually(lambda: behind.connected, timeout=20)
            await asyncio.sleep(1.5)
        await asyncio.gather(*[await direct.send(command(n)) for n in range(5 * SLOTS)])
        await eventually(lambda: most >= SLOTS)
        await asyncio.sleep(1)
        assert most == SLOTS
        release.set()
        await eventually(lambda: _is_empty(on), timeout=60)
        await consumer.drain(1)


def _reconnected(bus: Bus, before: int) -> bool:
    return bus.nc.stats["reconnects"] > before


async def _waiting(on: Rig) -> int:
    info = await on.js.consumer_info(f"{on.settings.prefix}_COMMANDS", "executor")
    return info.num_waiting or 0


async def _is_empty(on: Rig) -> bool:
    return await on.count("COMMANDS") == 0
