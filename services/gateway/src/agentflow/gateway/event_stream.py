"""An execution's events as server-sent events: from the first (or after Last-Event-ID), then
live, until the terminal one.

The id of each is its stream sequence, so a client that comes back misses nothing and gets
nothing twice. Silence is broken by comments. A reader of the log feeds each client; a slow
client slows only its own reader.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

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


class EventStreams:
    """The open event streams of this process."""

    def __init__(self, bus: Bus, measures: Measures, settings: GatewaySettings) -> None:
        self._bus = bus
        self._measures = measures
        self._settings = settings
        self._open: set[asyncio.Queue[StoredMessage | None]] = set()
        self._stopping = False

    def stop(self) -> None:
        """End every stream; clients come back to another process with Last-Event-ID."""
        self._stopping = True
        for ahead in self._open:
            if not ahead.full():
                ahead.put_nowait(None)

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
        return self._stream(tenant, execution_id, after)

    async def _stream(self, tenant: str, execution_id: str, after: int) -> AsyncIterator[bytes]:
        ahead: asyncio.Queue[StoredMessage | None] = asyncio.Queue(_AHEAD)
        reader = asyncio.create_task(self._read(tenant, execution_id, after, ahead))
        self._open.add(ahead)
        self._measures.streams.inc()
        try:
            yield _RETRY
            while not self._stopping:
                try:
                    async with asyncio.timeout(self._settings.sse_keepalive_seconds):
                        message = await ahead.get()
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
            self._open.discard(ahead)
            self._measures.streams.dec()
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    async def _read(
        self,
        tenant: str,
        execution_id: str,
        after: int,
        ahead: asyncio.Queue[StoredMessage | None],
    ) -> None:
        """Follow the log; after a broken connection go on behind the last event given."""
        while True:
            try:
                async for message in self._bus.follow(tenant, execution_id, after):
                    if message.sequence > after:
                        await ahead.put(message)
                        after = message.sequence
            except (NatsError, OSError, TimeoutError):
                await asyncio.sleep(1)


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
