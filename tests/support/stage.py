"""A stage for the executor alone: a real nats-server, executors in this process, and
workers the test plays itself. Nothing of the bus or the executor is replaced.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from agentflow.bus import topology
from agentflow.bus.broker import make_broker
from agentflow.bus.bus import Bus, utc_now
from agentflow.bus.consumer import Delivery, consume
from agentflow.bus.service import ServiceApp, make_app
from agentflow.bus.settings import BusSettings
from agentflow.contracts.events import Event, NodeCompleted, decode_event
from agentflow.contracts.ids import NodeId
from agentflow.contracts.tasks import RunNode
from agentflow.executor.app import create_app
from agentflow.executor.settings import ExecutorSettings
from agentflow.telemetry.settings import TelemetrySettings
from tests.support.waiting import eventually

TENANT = "acme"
RunTask = Callable[[RunNode, Delivery], Awaitable[object]]


@dataclass
class Asked:
    """An execution under way, as its caller sees it."""

    execution_id: str
    replies: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)

    async def reply(self, kind: str, timeout: float = 20) -> dict[str, Any]:
        """The next reply of that kind; others before it are dropped. Problems have no kind."""
        async with asyncio.timeout(timeout):
            while True:
                found = await self.replies.get()
                if found.get("kind", "problem") == kind:
                    return found

    async def result(self, timeout: float = 20) -> dict[str, Any]:
        return await self.reply("result", timeout)


class Stage:
    """Starts executors and played workers, publishes commands, reads logs."""

    def __init__(self, url: str, nc: Client, settings: BusSettings) -> None:
        self.url = url
        self.nc = nc
        self.js = nc.jetstream()
        self.settings = settings
        self.apps: list[ServiceApp] = []
        self.tasks: list[RunNode] = []

    async def executor(self, **settings: Any) -> ServiceApp:
        """A running executor."""
        app = create_app(ExecutorSettings(**settings), self.settings)
        await app.start()
        self.apps.append(app)
        return app

    async def worker(self, run: RunTask | None = None, pool: str = "input") -> ServiceApp:
        """A worker of `pool` that answers each task with `run` (default: completes it)."""
        broker = make_broker(self.settings, "played-worker")
        bus = Bus(broker, self.settings)

        async def on_run_node(delivery: Delivery) -> None:
            task = RunNode.decode(delivery.data)
            self.tasks.append(task)
            if run is not None:
                await run(task, delivery)
            else:
                await self.complete(task)
            if not delivery.settled:
                await delivery.ack()

        consumer = consume(
            broker,
            bus,
            message=RunNode,
            durable=f"pool_{pool}",
            subject=f"{self.settings.prefix}.tasks.{pool}.>",
            handler=on_run_node,
            slots=64,
            ack_wait=self.settings.task_ack_wait,
            grace=0.2,
        )
        app = make_app(
            bus, service="played-worker", consumers=[consumer], telemetry=TelemetrySettings()
        )
        await app.start()
        self.apps.append(app)
        return app

    async def complete(self, task: RunNode, output: Any = "done", attempt: int = 1) -> None:
        """Publish the node's completion as a worker would."""
        event = NodeCompleted(
            tenant=task.tenant,
            execution_id=task.execution_id,
            node_id=NodeId(task.node_id),
            node_type=task.node.kind,
            attempt=attempt,
            occurred_at=utc_now(),
            started_at=utc_now(),
            dispatched_at=task.dispatched_at,
            output=output,
        )
        await self.publish(event.subject(self.settings.prefix), event.encode())

    async def publish(self, subject: str, payload: bytes, **headers: str) -> None:
        await self.js.publish(subject, payload, headers=headers or None)

    async def execute(self, workflow: Any, state: Any = None, **more: Any) -> Asked:
        """Publish an execute command with a reply subject of its own."""
        asked = Asked(more.pop("execution_id", f"exec_{uuid.uuid4().hex}"))
        inbox = self.nc.new_inbox()

        async def on_reply(msg: Msg) -> None:
            asked.replies.put_nowait(orjson.loads(msg.data))

        await self.nc.subscribe(inbox, cb=on_reply)
        body = {
            "workflow": workflow,
            "initial_state": state or {},
            "execution_id": asked.execution_id,
            "reply_to": inbox,
            **more,
        }
        subject = f"{self.settings.prefix}.commands.{TENANT}.execute"
        await self.publish(subject, orjson.dumps(body))
        return asked

    async def cancel(self, execution_id: str) -> None:
        subject = f"{self.settings.prefix}.commands.{TENANT}.cancel"
        await self.publish(subject, orjson.dumps({"execution_id": execution_id}))

    async def log(self, execution_id: str) -> list[Event]:
        """The execution's events, in stream order."""
        found: list[Event] = []
        bus = self.apps[0].bus
        async for message in bus.read(TENANT, execution_id):
            event = decode_event(message.subject, message.data)
            if event is not None:
                found.append(event)
        return found

    async def idle(self) -> None:
        """Wait until no command and no task is left in its stream."""

        async def is_idle() -> bool:
            counts = [
                (await self.js.stream_info(f"{self.settings.prefix}_{name}")).state.messages
                for name in ("COMMANDS", "TASKS")
            ]
            return counts == [0, 0]

        await eventually(is_idle, timeout=20)


async def crash(app: ServiceApp) -> None:
    """What kill -9 does, within this process: the connection goes, nothing is handed back."""
    app.bus.broker.hooks.stopping = True
    await app.bus.nc.close()
    for consumer in app.consumers:
        loop = consumer.loop
        if loop is None:
            continue
        doomed = [*loop._tasks, *getattr(loop, "_running", {})]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)
        consumer.loop = None
    await app.bus.close()


@asynccontextmanager
async def stage(url: str, **settings: Any) -> AsyncIterator[Stage]:
    """A stage on the server at `url`, everything on it stopped at the end."""
    prefix = f"t{uuid.uuid4().hex[:8]}"
    values = {"command_ack_wait": 2.0, "task_ack_wait": 2.0, **settings}
    bus_settings = BusSettings(nats_url=url, prefix=prefix, **values)
    nc = await nats.connect(url)
    await topology.apply(nc.jetstream(), bus_settings)
    made = Stage(url, nc, bus_settings)
    try:
        yield made
    finally:
        for app in made.apps:
            if app.bus.connected:
                await app.stop()
        await nc.close()
