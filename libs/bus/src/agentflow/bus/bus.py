"""The bus as services see it: publish, reply, hear, read.

One Bus per process and broker. `open()` connects, checks that the server and the streams
are what this release needs, and starts the publisher; `close()` undoes it.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from nats.aio.client import Client
from nats.errors import Error as NatsError

from agentflow.bus import topology
from agentflow.bus.broker import HookedBroker
from agentflow.bus.errors import BusDown
from agentflow.bus.headers import headers_for, parse_headers
from agentflow.bus.live import LiveSubscription, OnStored, listen
from agentflow.bus.log_reader import LogReader, StoredMessage
from agentflow.bus.publisher import Expect, Publisher
from agentflow.bus.settings import BusSettings
from agentflow.contracts.message import Message
from agentflow.telemetry.redaction import redact_text


class Bus:
    """Everything a service does on the bus except consuming."""

    def __init__(self, broker: HookedBroker, settings: BusSettings) -> None:
        self.broker = broker
        self.settings = settings
        self.prefix = settings.prefix
        self._nc: Client | None = None
        self._publisher: Publisher | None = None
        self._reader: LogReader | None = None

    async def open(self, *, check: bool = True) -> None:
        """Connect and check the topology; raises BusDown or TopologyError.

        Once connected the broker reconnects for as long as it takes; a first connection
        that does not come about within `connect_timeout` is an error.
        """
        wait = self.settings.connect_timeout
        try:
            async with asyncio.timeout(wait):
                nc = await self.broker.connect()
        except (NatsError, OSError, TimeoutError) as error:
            why = str(error) or f"no server answered within {wait:g} s"
            raise BusDown(
                f"Cannot connect to {redact_text(self.settings.nats_url)}: {why}.",
                hint="Is nats-server running there, and is NATS_URL right?",
            ) from error
        if check:
            await topology.check(nc, self.settings)
        # The client looks its reader up on itself at each message; a test holds both equal.
        setattr(nc, "_parse_header_lines", parse_headers)  # noqa: B010 - a private name of nats-py
        self._nc = nc
        self._publisher = Publisher(nc)
        await self._publisher.start()
        self._reader = LogReader(nc, self.settings)

    async def close(self) -> None:
        """Stop publishing; the broker closes the connection itself."""
        self.broker.hooks.stopping = True
        if self._publisher is not None:
            await self._publisher.stop()

    @property
    def nc(self) -> Client:
        """The connection; raises BusDown before `open()`."""
        if self._nc is None:
            raise BusDown("The bus is not open yet.")
        return self._nc

    @property
    def publisher(self) -> Publisher:
        if self._publisher is None:
            raise BusDown("The bus is not open yet.")
        return self._publisher

    @property
    def log(self) -> LogReader:
        """Reads the event log of executions."""
        if self._reader is None:
            raise BusDown("The bus is not open yet.")
        return self._reader

    @property
    def connected(self) -> bool:
        return self._nc is not None and self._nc.is_connected

    async def publish(
        self,
        message: Message,
        *,
        msg_id: str | None = None,
        expect: Expect | None = None,
        timeout: float = 30.0,
        headers: dict[str, str] | None = None,
    ) -> int:
        """Store `message` and give its stream sequence.

        Raises PayloadTooLarge, StreamFull, AlreadyOutstanding, WrongLastSequence, BusDown
        (nothing was sent) or OutcomeUnknown (it may be stored).
        """
        future = await self.send(
            message, msg_id=msg_id, expect=expect, timeout=timeout, headers=headers
        )
        return await future

    async def send(
        self,
        message: Message,
        *,
        msg_id: str | None = None,
        expect: Expect | None = None,
        timeout: float = 30.0,
        headers: dict[str, str] | None = None,
        resend: bool = True,
    ) -> asyncio.Future[int]:
        """Like `publish`, but gives the future of the answer: for pipelining."""
        own_id = msg_id or uuid.uuid4().hex
        return await self.publisher.send(
            message.subject(self.prefix),
            message.encode(),
            msg_id=own_id,
            headers=headers_for(message, own_id, headers),
            expect=expect,
            timeout=timeout,
            resend=resend,
        )

    async def reply(self, subject: str, payload: bytes) -> None:
        """Answer on a reply subject: fire and forget, nobody may be listening."""
        self.publisher.check_size(subject, payload)
        try:
            await self.nc.publish(subject, payload)
        except NatsError:
            return

    async def live(self, event_pattern: str, on_stored: OnStored) -> LiveSubscription:
        """Hear events as they are stored; `event_pattern` as from `NodeCompleted.pattern()`."""
        return await listen(self.nc, self.prefix, event_pattern, on_stored)

    def read(self, tenant: str, execution_id: str, after: int = 0) -> AsyncIterator[StoredMessage]:
        """What the execution's log holds now; see LogReader.read."""
        return self.log.read(tenant, execution_id, after)

    def follow(
        self, tenant: str, execution_id: str, after: int = 0
    ) -> AsyncIterator[StoredMessage]:
        """What the execution's log holds and will hold; see LogReader.follow."""
        return self.log.follow(tenant, execution_id, after)


def utc_now() -> datetime:
    """The time messages carry."""
    return datetime.now(UTC)
