"""A bus on a real server, with its topology applied: what the tests of libs/bus stand on."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import nats
import orjson
from nats.aio.client import Client
from nats.js import JetStreamContext

from agentflow.bus import topology
from agentflow.bus.broker import HookedBroker, make_broker
from agentflow.bus.bus import Bus
from agentflow.bus.consumer import Consumer, Delivery, consume
from agentflow.bus.settings import BusSettings
from agentflow.contracts.audits import DeadLetter
from agentflow.contracts.commands import ExecuteWorkflow
from agentflow.contracts.events import NodeCompleted
from agentflow.contracts.message import StreamName
from agentflow.contracts.spec import Node
from agentflow.contracts.tasks import RunNode

NOW = datetime(2026, 11, 21, tzinfo=UTC)
OnDelivery = Callable[[Delivery], Awaitable[None]]


class Rig:
    """One installation (a prefix of its own) on one server."""

    def __init__(self, settings: BusSettings, nc: Client, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.nc = nc
        self.js: JetStreamContext = nc.jetstream()
        self._stack = stack

    async def bus(self, url: str | None = None, *, check: bool = True) -> Bus:
        """An open bus with a connection of its own; `url`: through a proxy, say."""
        settings = self.settings
        if url is not None:
            settings = settings.model_copy(update={"nats_url": url})
        broker = make_broker(settings, "rig")
        bus = Bus(broker, settings)
        self._stack.push_async_callback(_end, broker, bus)
        await bus.open(check=check)
        return bus

    async def consumer(
        self, on_execute: OnDelivery, *, slots: int = 4, ack_wait: float = 1.0, grace: float = 5.0
    ) -> Consumer:
        """A running consumer of execute commands, on a connection of its own."""
        broker = make_broker(self.settings, "rig")
        bus = Bus(broker, self.settings)
        consumer = consume(
            broker,
            bus,
            message=ExecuteWorkflow,
            durable="executor",
            handler=on_execute,
            slots=slots,
            ack_wait=ack_wait,
            grace=grace,
        )
        self._stack.push_async_callback(_end, broker, bus)
        await bus.open()
        await broker.start()
        return consumer

    async def count(self, stream: StreamName) -> int:
        """Messages a stream holds."""
        info = await self.js.stream_info(f"{self.settings.prefix}_{stream}")
        return info.state.messages

    async def dead_letters(self) -> list[DeadLetter]:
        """All dead letters, oldest first."""
        stream = f"{self.settings.prefix}_DEAD"
        state = (await self.js.stream_info(stream)).state
        if state.messages == 0:
            return []
        sequences = range(state.first_seq, state.last_seq + 1)
        raw = [await self.js.get_msg(stream, sequence) for sequence in sequences]
        return [DeadLetter.decode(message.data or b"") for message in raw]

    async def pending_acks(self, durable: str = "executor") -> int:
        """Messages handed to consumers of COMMANDS and not settled."""
        info = await self.js.consumer_info(f"{self.settings.prefix}_COMMANDS", durable)
        return info.num_ack_pending or 0


@asynccontextmanager
async def rig(url: str, **settings: Any) -> AsyncIterator[Rig]:
    """An installation with its topology applied; everything opened on it is closed again."""
    prefix = settings.pop("prefix", f"t{uuid.uuid4().hex[:8]}")
    values = {"command_ack_wait": 1.0, "task_ack_wait": 1.0, **settings}
    bus_settings = BusSettings(nats_url=url, prefix=prefix, **values)
    async with AsyncExitStack() as stack:
        nc = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
        stack.push_async_callback(nc.close)
        await topology.apply(nc.jetstream(), bus_settings)
        yield Rig(bus_settings, nc, stack)


def command(number: int = 0, *, size: int = 0) -> ExecuteWorkflow:
    """An execute command that says its number, and is at least `size` bytes long."""
    return ExecuteWorkflow.model_validate(
        {"tenant": "acme", "initial_state": {"number": number, "fill": "x" * size}}
    )


def number_of(delivery: Delivery) -> int:
    """The number in a command made by `command`."""
    number: int = orjson.loads(delivery.data)["initial_state"]["number"]
    return number


def completed(execution_id: str, node_id: str, output: Any = None) -> NodeCompleted:
    """A node's completion."""
    return NodeCompleted.model_validate(
        {
            "tenant": "acme",
            "execution_id": execution_id,
            "node_id": node_id,
            "node_type": "llm",
            "occurred_at": NOW,
            "output": output,
        }
    )


def task(node_id: str = "n") -> RunNode:
    """A task of the llm pool."""
    return RunNode.model_validate(
        {
            "tenant": "acme",
            "execution_id": "exec_1",
            "node_id": node_id,
            "pool": "llm",
            "node": Node(id=node_id, type="llm"),
            "state": {},
            "deadline": NOW,
            "dispatched_at": NOW,
            "effect_key": "k",
        }
    )


async def _end(broker: HookedBroker, bus: Bus) -> None:
    await bus.close()
    await broker.stop()
