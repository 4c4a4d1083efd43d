"""One subscription per process hears of every execution's turns; waiters pick theirs.

The feed is a shortcut, the log is the truth: a waiter looks into the log on a timer and
after every gap, so a missed message costs time and never an answer.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from agentflow.bus.bus import Bus
from agentflow.bus.live import LiveSubscription
from agentflow.bus.log_reader import StoredMessage
from agentflow.contracts.errors import DependencyDown
from agentflow.contracts.events import Event, ExecutionEnded, decode_event, event_type
from agentflow.gateway.bus_calls import answered

_TURNS = "events.*.*.execution.*"


class Waiter:
    """Hears the turns of one execution; is nudged at each, and when the log may know more."""

    __slots__ = ("_heard", "_nudged", "abandoned", "ended", "tenant")

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.ended: StoredMessage | None = None
        self.abandoned = False
        self._heard = False
        self._nudged = asyncio.Event()

    def hear(self, message: StoredMessage, is_end: bool) -> None:
        """Take a turn as the feed tells it."""
        self._heard = True
        if is_end and self.ended is None:
            self.ended = message
        self._nudged.set()

    def abandon(self) -> None:
        """Whoever waited has left."""
        self.abandoned = True
        self._nudged.set()

    def doubt(self) -> None:
        """Something may have been missed: the log has to be asked."""
        self._heard = False
        self._nudged.set()

    async def nudge(self, seconds: float) -> bool:
        """Wait for the next turn for at most `seconds`; False: better ask the log."""
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            return False
        self._nudged.clear()
        heard, self._heard = self._heard, False
        return heard


class LiveFeed:
    """`await start()` once the bus is open; `with feed.waiting(...) as waiter` per request."""

    def __init__(self, bus: Bus, check_seconds: float) -> None:
        self._bus = bus
        self._check_seconds = check_seconds
        self._waiters: dict[str, list[Waiter]] = {}
        self._subscription: LiveSubscription | None = None
        self._released = False

    async def start(self) -> None:
        """Begin to hear."""
        self._bus.broker.hooks.on_gap(self._on_gap)
        self._subscription = await self._bus.live(f"{self._bus.prefix}.{_TURNS}", self._on_turn)

    async def stop(self) -> None:
        """Hear nothing more."""
        if self._subscription is not None and self._bus.connected:
            await self._subscription.stop()
        self._subscription = None

    def release(self) -> None:
        """Let every waiter go with what it knows: the process is stopping."""
        self._released = True
        self._on_gap()

    @property
    def waiting_for(self) -> int:
        """Executions somebody waits for."""
        return len(self._waiters)

    @contextmanager
    def waiting(self, tenant: str, execution_id: str) -> Iterator[Waiter]:
        """Hear this execution's turns inside the block; nothing stays behind after it."""
        waiter = Waiter(tenant)
        self._waiters.setdefault(execution_id, []).append(waiter)
        try:
            yield waiter
        finally:
            others = self._waiters[execution_id]
            others.remove(waiter)
            if not others:
                del self._waiters[execution_id]

    async def end_of(
        self, waiter: Waiter, execution_id: str, seconds: float
    ) -> ExecutionEnded | None:
        """The terminal event, as soon as it is stored; None when `seconds` are over."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            left = deadline - loop.time()
            heard = await waiter.nudge(max(0.0, min(left, self._check_seconds)))
            ended = waiter.ended
            if ended is None and not heard:
                ended = await self._look(waiter.tenant, execution_id)
            if ended is not None:
                return as_end(ended)
            if self._released or waiter.abandoned or loop.time() >= deadline:
                return None

    async def _look(self, tenant: str, execution_id: str) -> StoredMessage | None:
        """The end as the log has it; a bus that is away just now is asked again later."""
        try:
            async with answered(self._bus, self._check_seconds):
                return await last_end(self._bus, tenant, execution_id)
        except DependencyDown:
            return None

    def _on_turn(self, message: StoredMessage) -> None:
        tokens = message.subject.split(".")
        if len(tokens) != 6:
            return
        waiters = self._waiters.get(tokens[3])
        if not waiters:
            return
        is_end = is_terminal(message.subject)
        for waiter in waiters:
            if waiter.tenant == tokens[2]:
                waiter.hear(message, is_end)

    def _on_gap(self) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.doubt()


def is_terminal(subject: str) -> bool:
    """Whether the event on `subject` ends its execution."""
    found = event_type(subject)
    return found is not None and issubclass(found, ExecutionEnded)


def as_end(message: StoredMessage) -> ExecutionEnded | None:
    """The terminal event in `message`, or None when it is another or cannot be read."""
    try:
        event: Event | None = decode_event(message.subject, message.data)
    except ValidationError:
        return None
    return event if isinstance(event, ExecutionEnded) else None


async def last_end(bus: Bus, tenant: str, execution_id: str) -> StoredMessage | None:
    """The terminal event as the log holds it, or None."""
    last = await bus.log.last(tenant, execution_id, "execution.*")
    return last if last is not None and is_terminal(last.subject) else None
