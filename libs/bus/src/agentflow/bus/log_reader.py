"""Reading an execution's log: what the stream holds, in order, and optionally what follows.

Reading goes through an ordered consumer bound to the execution's subjects. It never acks
anything, so any number of readers can look at the same log.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from agentflow.bus import names
from agentflow.bus.settings import BusSettings
from agentflow.contracts.events import NodeEvent, event_of

_QUIET = 5.0
_ENDS = frozenset(("completed", "failed", "cancelled", "timed_out"))
_OUTCOMES = frozenset(("completed", "failed", "timed_out", "skipped"))


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """An event as the stream holds it. `sequence` is the stream's."""

    subject: str
    data: bytes
    sequence: int
    headers: dict[str, str] = field(default_factory=dict)


def log_subject(prefix: str, tenant: str, execution_id: str) -> str:
    """All events of one execution."""
    return f"{prefix}.events.{tenant}.{execution_id}.>"


class LogReader:
    """Reads the EVENTS stream of one installation."""

    def __init__(self, nc: Client, settings: BusSettings) -> None:
        self._js = nc.jetstream()
        self._prefix = settings.prefix
        self._stream = names.stream_name(settings.prefix, "EVENTS")

    async def last(self, tenant: str, execution_id: str, rest: str = ">") -> StoredMessage | None:
        """The last event on `events.{tenant}.{execution}.{rest}`, or None."""
        subject = f"{self._prefix}.events.{tenant}.{execution_id}.{rest}"
        try:
            raw = await self._js.get_last_msg(self._stream, subject)
        except NotFoundError:
            return None
        return StoredMessage(
            raw.subject or "", raw.data or b"", raw.seq or 0, dict(raw.headers or {})
        )

    async def read(
        self, tenant: str, execution_id: str, after: int = 0
    ) -> AsyncIterator[StoredMessage]:
        """What the log holds now behind sequence `after`, in order; then stops."""
        last = await self.last(tenant, execution_id)
        if last is None or last.sequence <= after:
            return
        async for message in self.follow(tenant, execution_id, after):
            yield message
            if message.sequence >= last.sequence:
                return

    async def node_resolved(self, tenant: str, execution_id: str, node_id: str) -> bool:
        """Whether the log already holds this node's outcome, or the execution's end.

        Reads the execution's whole log: for redelivered tasks only.
        """
        async for message in self.read(tenant, execution_id):
            entity, verb = message.subject.split(".")[-2:]
            if entity == "execution" and verb in _ENDS:
                return True
            if entity == "node" and verb in _OUTCOMES:
                event = event_of(message.subject, message.data)
                if isinstance(event, NodeEvent) and event.node_id == node_id:
                    return True
        return False

    async def follow(
        self, tenant: str, execution_id: str, after: int = 0
    ) -> AsyncIterator[StoredMessage]:
        """What the log holds behind `after`, then what is stored from now on; never ends."""
        subscription = await self._js.subscribe(
            log_subject(self._prefix, tenant, execution_id),
            stream=self._stream,
            ordered_consumer=True,
            config=ConsumerConfig(
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=after + 1
            ),
        )
        try:
            while True:
                try:
                    msg = await subscription.next_msg(timeout=_QUIET)
                except NatsTimeoutError:
                    continue
                yield _stored(msg)
        finally:
            await asyncio.shield(_close(subscription))


async def _close(subscription: object) -> None:
    unsubscribe = getattr(subscription, "unsubscribe")  # noqa: B009 - JetStream's own type
    await unsubscribe()


def _stored(msg: Msg) -> StoredMessage:
    return StoredMessage(
        msg.subject, msg.data, msg.metadata.sequence.stream, dict(msg.headers or {})
    )
