"""The consumer loop of projectors: messages in batches, in order, one batch at a time.

A batch closes when it is full or `max_wait` seconds after its first message. If the handler
raises, the whole batch is handed back with backoff and comes again.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from agentflow.bus.delivery import Delivery
from agentflow.bus.pull_loop import PullRequests, backoff

OnBatch = Callable[[list[Delivery]], Awaitable[None]]


class BatchLoop:
    """Hands a durable consumer's messages to one handler in batches."""

    def __init__(
        self,
        nc: Client,
        *,
        prefix: str,
        stream: str,
        durable: str,
        handler: OnBatch,
        max_batch: int,
        max_wait: float,
        ack_wait: float,
    ) -> None:
        self._requests = PullRequests(nc, prefix, stream, durable, self._arrived)
        self._handler = handler
        self._max_batch = max_batch
        self._max_wait = max_wait
        self._renew_every = ack_wait / 3
        self._waiting: deque[Delivery] = deque()
        self._in_hand: list[Delivery] = []
        self._arrival = asyncio.Event()
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._failures = 0
        self._log = structlog.get_logger().bind(stream=stream, durable=durable)

    @property
    def running(self) -> int:
        """Messages received and not yet settled."""
        return len(self._waiting) + len(self._in_hand)

    async def start(self) -> None:
        """Begin to pull."""
        await self._requests.start()
        self._tasks = [
            asyncio.create_task(self._run()),
            asyncio.create_task(self._keep_leases()),
        ]

    def gap(self) -> None:
        """The connection was lost: open requests are void."""
        self._requests.forget()
        self._arrival.set()

    async def drain(self, grace: float) -> None:
        """Ask for nothing more, finish the batch in hand, hand the rest back."""
        if self._stopping:
            return
        self._stopping = True
        await self._requests.stop()
        self._arrival.set()
        with contextlib.suppress(asyncio.TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(asyncio.shield(self._tasks[0]), timeout=grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for delivery in [*self._in_hand, *self._waiting]:
            await delivery.nak()

    def _arrived(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._arrival.set()

    async def _run(self) -> None:
        while not self._stopping:
            await self._ask()
            await self._collect()
            if self._waiting and not self._stopping:
                await self._hand_over()

    async def _ask(self) -> None:
        if self._requests.silent:
            self._requests.forget()
        await self._requests.renew()
        # Up to two batches are on their way, so that the next is here when this one is done.
        free = 2 * self._max_batch - len(self._waiting) - self._requests.requested
        if free >= self._max_batch:
            with contextlib.suppress(NatsError):
                await self._requests.ask(free)

    async def _collect(self) -> None:
        if not self._waiting:
            self._arrival.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._arrival.wait(), timeout=1.0)
        if self._waiting and len(self._waiting) < self._max_batch and not self._stopping:
            await asyncio.sleep(self._max_wait)

    async def _hand_over(self) -> None:
        count = min(self._max_batch, len(self._waiting))
        self._in_hand = [self._waiting.popleft() for _ in range(count)]
        try:
            await self._handler(self._in_hand)
        except Exception as error:  # noqa: BLE001 - a handler's own, whatever it is
            # The batch must come again and the loop go on.
            self._failures += 1
            delay = backoff(self._failures)
            self._log.warning(
                "batch.handler_failed",
                messages=count,
                retry_in=round(delay, 1),
                error=f"{type(error).__name__}: {error}",
            )
            for delivery in [*self._in_hand, *self._waiting]:
                await delivery.nak(delay=delay)
            self._waiting.clear()
            self._in_hand = []
            await asyncio.sleep(min(delay, 5.0))
        else:
            self._failures = 0
            for delivery in self._in_hand:
                await delivery.ack()
            self._in_hand = []

    async def _keep_leases(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._renew_every / 2)
            due = loop.time() - self._renew_every / 2
            for delivery in [*self._in_hand, *self._waiting]:
                if not delivery.settled and delivery.lease_renewed_at <= due:
                    delivery.lease_renewed_at = loop.time()
                    await delivery.in_progress()
