"""An execution's events as server-sent events: from the first (or after Last-Event-ID), then
live, until the terminal one.

The id of each is its stream sequence, so a client that comes back misses nothing and gets
nothing twice. Silence is broken by comments. A reader of the log feeds each client; a slow
client slows only its own reader.
"""

import asyncio
from collections.abc import AsyncIterator

import orjson
from nats.errors import Error as NatsError

from agentflow.bus.bus import Bus
from agentflow.bus.log_reader import StoredMessage
from agentflow.gateway.bus_calls import answered
from agentflow.gateway.errors import TooManyStreams
from agentflow.gateway.executions import missing
from agentflow.gateway.live_feed import is_terminal, last_end
from agentflow.gateway.measures import Measures
from agentflow.gateway.settings import GatewaySettings

_KEEP_ALIVE = b": keep-alive\n\n"
_RETRY = b"retry: 1000\n\n"
_AHEAD = 64
"""Events read ahead of a client."""
_READ_AGAIN = 1.0
_CANCEL_AGAIN = 0.1


class EventStreams:
    """The open event streams of this process."""

    def __init__(self, bus: Bus, measures: Measures, settings: GatewaySettings) -> None:
        self._bus = bus
        self._measures = measures
        self._settings = settings
        self._open: set[_Reading] = set()
        self._stopping = False

    def start(self) -> None:
        """Read anew wherever the connection may have lost something."""
        self._bus.broker.hooks.on_gap(self._on_gap)

    def stop(self) -> None:
        """End every stream; clients come back to another process with Last-Event-ID."""
        self._stopping = True
        for reading in self._open:
            reading.give(None)

    @property
    def open(self) -> int:
        """Streams that have a client."""
        return len(self._open)

    async def frames(
        self, tenant: str, execution_id: str, after: int
    ) -> AsyncIterator[bytes] | None:
        """The frames behind sequence `after`; None when the end was seen already.

        Raises NotFound, TooManyStreams, BusDown: all before the first frame.
        """
        if self._stopping or len(self._open) >= self._settings.max_event_streams:
            raise TooManyStreams
        async with answered(self._bus, self._settings.bus_timeout_seconds):
            last = await self._bus.log.last(tenant, execution_id)
            if last is None:
                raise missing(execution_id)
            end = await last_end(self._bus, tenant, execution_id)
        if end is not None and end.sequence <= after:
            return None
        return self._stream(_Reading(self._bus, tenant, execution_id, after))

    async def _stream(self, reading: "_Reading") -> AsyncIterator[bytes]:
        self._open.add(reading)
        self._measures.streams.inc()
        reading.begin()
        try:
            yield _RETRY
            while not self._stopping:
                try:
                    async with asyncio.timeout(self._settings.sse_keepalive_seconds):
                        message = await reading.next()
                except TimeoutError:
                    yield _KEEP_ALIVE
                    continue
                if message is None:
                    return
                framed = frame(message)
                if framed is not None:
                    yield framed
                if is_terminal(message.subject):
                    return
        finally:
            self._open.discard(reading)
            self._measures.streams.dec()
            await reading.end()

    def _on_gap(self) -> None:
        for reading in self._open:
            reading.begin()


class _Reading:
    """One client's way through the log: some events ahead of it, never more."""

    def __init__(self, bus: Bus, tenant: str, execution_id: str, after: int) -> None:
        self._bus = bus
        self._tenant = tenant
        self._execution_id = execution_id
        self._after = after
        self._ahead: asyncio.Queue[StoredMessage | None] = asyncio.Queue(_AHEAD)
        self._readers: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Read on behind the last event given; a reader that may have lost its way goes."""
        old = set(self._readers)
        reader = asyncio.create_task(self._read_instead_of(old))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)

    async def end(self) -> None:
        """No reader is left when this returns, or soon after when the caller is cancelled."""
        await asyncio.shield(asyncio.create_task(_ended(set(self._readers))))

    async def next(self) -> StoredMessage | None:
        return await self._ahead.get()

    def give(self, message: StoredMessage | None) -> None:
        """Hand something over unless the client is behind anyway."""
        if not self._ahead.full():
            self._ahead.put_nowait(message)

    async def _read_instead_of(self, old: set[asyncio.Task[None]]) -> None:
        await _ended(old)
        while True:
            try:
                async for message in self._bus.follow(
                    self._tenant, self._execution_id, self._after
                ):
                    if message.sequence > self._after:
                        await self._ahead.put(message)
                        self._after = message.sequence
            except (NatsError, OSError, TimeoutError):
                await asyncio.sleep(_READ_AGAIN)


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel until they are done: `asyncio.wait_for`, which nats-py waits with, loses a
    cancellation that meets its result (fixed in Python 3.12)."""
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN)


def frame(message: StoredMessage) -> bytes | None:
    """One event as a frame; None for what is no JSON."""
    data = message.data
    if b"\n" in data or b"\r" in data:
        try:
            data = orjson.dumps(orjson.loads(data))
        except ValueError:
            return None
    name = ".".join(message.subject.rsplit(".", 2)[1:])
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (message.sequence, name.encode(), data)


def last_event_id(header: str | None) -> int:
    """Where a returning client stopped; 0 for a new one or a header that is not ours."""
    if header is None or not header.isascii() or not header.isdecimal():
        return 0
    return min(int(header[:19]), 2**63 - 2)
