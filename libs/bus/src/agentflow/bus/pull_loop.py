"""The one consumer loop. It asks the server for no more messages than it has free slots,
so a message never waits here while its lease runs; it renews the lease of what is being
worked on; and it stops cleanly: nothing new, finish or hand back.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from agentflow.bus.delivery import IN_PROGRESS, Delivery
from agentflow.bus.headers import SCHEMA
from agentflow.bus.publisher import MSG_ID
from agentflow.contracts.audits import DeadLetter
from agentflow.contracts.errors import DependencyDown

_EXPIRES = 30.0
_HEARTBEAT = 5.0
_SOON = 0.005
MAX_HANDLER_FAILURES = 10
"""Deliveries after which a message whose handler keeps raising is put aside."""

PASSING = (DependencyDown, NatsError, TimeoutError, OSError)
"""What says nothing about the message: it is tried again for as long as it takes."""

Deliver = Callable[[Delivery], None]


class PullRequests:
    """Keeps pull requests open for a number of messages and survives lost ones."""

    def __init__(
        self, nc: Client, prefix: str, stream: str, durable: str, on_delivery: Deliver
    ) -> None:
        self.stream = stream
        self.prefix = prefix
        self._nc = nc
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._inbox = ""
        self._on_delivery = on_delivery
        self._requested = 0
        self._void = False
        self._subscription: Subscription | None = None
        self._heard_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._log = structlog.get_logger().bind(stream=stream, durable=durable)

    @property
    def requested(self) -> int:
        """Messages asked for and not yet delivered."""
        return self._requested

    async def start(self) -> None:
        self._inbox = inbox = self._nc.new_inbox()

        async def on_message(msg: Msg) -> None:
            self._on_message(msg, current=inbox == self._inbox)

        self._subscription = await self._nc.subscribe(inbox, cb=on_message)

    async def renew(self) -> None:
        """After `forget`: hear nothing more of the old requests, which the server may still hold.

        It keeps them over a short cut of the connection; asked again on the same inbox it
        would send both what was asked before and what is asked now.
        """
        if not self._void or not self._nc.is_connected:
            return
        self._void = False
        old = self._subscription
        await self.start()
        if old is not None:
            with contextlib.suppress(NatsError, asyncio.TimeoutError):
                await old.drain()  # type: ignore[no-untyped-call]  # nats-py

    async def ask(self, batch: int) -> None:
        """Ask for up to `batch` messages as they come."""
        self._requested += batch
        self._heard_at = self._loop.time()
        request = {
            "batch": batch,
            "expires": int(_EXPIRES * 1e9),
            "idle_heartbeat": int(_HEARTBEAT * 1e9),
        }
        await self._nc.publish(self._subject, orjson.dumps(request), reply=self._inbox)

    def forget(self) -> None:
        """All open requests are void (reconnect, silence)."""
        self._requested = 0
        self._void = True

    @property
    def silent(self) -> bool:
        """Whether open requests have heard nothing for longer than two heartbeats."""
        return self._requested > 0 and self._loop.time() - self._heard_at > 2 * _HEARTBEAT + 1

    async def stop(self) -> None:
        """Cancel the open requests; what is on its way is still delivered."""
        if self._subscription is not None:
            with contextlib.suppress(NatsError, asyncio.TimeoutError):
                await self._subscription.drain()  # type: ignore[no-untyped-call]  # nats-py
        self._requested = 0

    async def answer(self, reply: str, payload: bytes) -> None:
        """Ack, nak or renew; while disconnected it is dropped and the lease runs out."""
        with contextlib.suppress(NatsError):
            await self._nc.publish(reply, payload)

    async def bury(self, letter: DeadLetter) -> None:
        """Store a dead letter; raises when it cannot be stored, so that nothing is lost."""
        js = self._nc.jetstream()
        msg_id = f"{letter.origin_stream}.{letter.origin_sequence}"
        await js.publish(
            letter.subject(self.prefix),
            letter.encode(),
            headers={MSG_ID: msg_id, SCHEMA: letter.schema_name()},
        )

    def _on_message(self, msg: Msg, *, current: bool) -> None:
        self._heard_at = self._loop.time()
        if msg.reply and msg.reply.startswith("$JS.ACK"):
            if current:
                self._requested = max(0, self._requested - 1)
            self._on_delivery(Delivery(self, msg, self._heard_at))
            return
        if not current:
            return
        headers = msg.headers or {}
        status = headers.get("Status", "503")
        if status == "100":
            return
        # A request has ended; the header says how much of it was never delivered.
        undelivered = int(headers.get("Nats-Pending-Messages", self._requested))
        self._requested = max(0, self._requested - undelivered)
        if status not in ("404", "408"):
            description = headers.get("Description", "no responders")
            if "Batch Completed" not in description:
                self._log.info("pull.ended", status=status, description=description)


class PullLoop:
    """Runs one handler per message, at most `slots` at a time."""

    def __init__(
        self,
        nc: Client,
        *,
        prefix: str,
        stream: str,
        durable: str,
        handler: Callable[[Delivery], Awaitable[None]],
        slots: int,
        ack_wait: float,
    ) -> None:
        self._requests = PullRequests(nc, prefix, stream, durable, self._begin)
        self._handler = handler
        self._slots = slots
        self._renew_every = ack_wait / 3
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._stopping = False
        self._wake = asyncio.Event()
        self._soon: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._log = structlog.get_logger().bind(stream=stream, durable=durable)

    @property
    def running(self) -> int:
        """Messages being handled now."""
        return len(self._running)

    async def start(self) -> None:
        """Begin to pull."""
        await self._requests.start()
        self._tasks = [
            asyncio.create_task(self._keep_asking()),
            asyncio.create_task(self._keep_leases()),
        ]

    def gap(self) -> None:
        """The connection was lost: open requests are void."""
        self._requests.forget()
        self._wake.set()

    async def drain(self, grace: float) -> None:
        """Ask for nothing more, let handlers finish for `grace` seconds, hand the rest back."""
        if self._stopping:
            return
        self._stopping = True
        self._tasks[0].cancel()
        if self._soon is not None:
            self._soon.cancel()
        await self._requests.stop()
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        unfinished = dict(self._running)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished, timeout=5)
        for delivery in unfinished.values():
            await delivery.nak()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, delivery: Delivery) -> None:
        if self._stopping:
            task = asyncio.create_task(delivery.nak())
        else:
            task = asyncio.create_task(self._handle(delivery))
        self._running[task] = delivery
        task.add_done_callback(self._ended)
        self._free_slots_wake()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._free_slots_wake()

    def _free_slots_wake(self) -> None:
        """Asking again for every single freed slot would double the traffic: many at once, or
        in a moment when nothing is asked for at all."""
        free = self._free
        if free >= self._refill:
            self._wake.set()
        elif free > 0 and not self._requests.requested and self._soon is None:
            loop = asyncio.get_running_loop()
            self._soon = loop.call_later(_SOON, self._wake_now)

    def _wake_now(self) -> None:
        self._soon = None
        self._wake.set()

    @property
    def _free(self) -> int:
        return self._slots - len(self._running) - self._requests.requested

    @property
    def _refill(self) -> int:
        return max(1, self._slots // 2)

    async def _handle(self, delivery: Delivery) -> None:
        try:
            await self._handler(delivery)
        except asyncio.CancelledError:
            if not self._stopping:
                await delivery.nak()
            raise
        except Exception as error:  # noqa: BLE001 - a handler's own, whatever it is
            # The message must come back and the loop go on.
            await self._failed(delivery, error)
        else:
            if not delivery.settled:
                self._log.error("consumer.unsettled", subject=delivery.subject)
                await delivery.nak(delay=backoff(delivery.deliveries))

    async def _failed(self, delivery: Delivery, error: Exception) -> None:
        self._log.warning(
            "consumer.handler_failed",
            subject=delivery.subject,
            deliveries=delivery.deliveries,
            error=f"{type(error).__name__}: {error}",
        )
        if delivery.deliveries >= MAX_HANDLER_FAILURES and not isinstance(error, PASSING):
            with contextlib.suppress(Exception):
                await delivery.dead_letter("handler_failed", f"{type(error).__name__}: {error}")
        await delivery.nak(delay=backoff(delivery.deliveries))

    async def _keep_asking(self) -> None:
        while True:
            if self._requests.silent:
                self._requests.forget()
            await self._requests.renew()
            free = self._free
            if free >= (1 if not self._requests.requested else self._refill):
                with contextlib.suppress(NatsError):
                    await self._requests.ask(free)
            self._wake.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout=1.0)

    async def _keep_leases(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._renew_every / 2)
            due = loop.time() - self._renew_every / 2
            for delivery in list(self._running.values()):
                if not delivery.settled and delivery.lease_renewed_at <= due:
                    delivery.lease_renewed_at = loop.time()
                    await delivery.in_progress()


def backoff(deliveries: int) -> float:
    """Seconds until a failed message comes again: doubling from 0.5 to 30, with jitter."""
    base = min(30.0, 0.5 * 2.0 ** min(deliveries - 1, 10))
    return base * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret


__all__ = ["IN_PROGRESS", "MAX_HANDLER_FAILURES", "PullLoop", "PullRequests", "backoff"]
