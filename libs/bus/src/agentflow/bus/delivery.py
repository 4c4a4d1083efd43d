"""Delivery: one message handed to one handler, settled exactly once.

Acks have names: `ack` (done), `nak` (again, later), `dead_letter` (nobody can process it).
Until one of them is called the consumer loop renews the lease.
"""

import base64
from typing import Protocol

from nats.aio.msg import Msg

from agentflow.bus.headers import REPLY_TO
from agentflow.contracts.audits import DeadLetter
from agentflow.contracts.ids import TenantId

ACK = b"+ACK"
IN_PROGRESS = b"+WPI"
_MAX_DEAD_BYTES = 512 * 1024


class Settling(Protocol):
    """What a delivery needs of its consumer to be settled."""

    stream: str
    prefix: str

    async def answer(self, reply: str, payload: bytes) -> None: ...
    async def bury(self, letter: DeadLetter) -> None: ...


class Delivery:
    """A message of a durable consumer. `sequence` is the stream's, `deliveries` counts from 1."""

    __slots__ = (
        "_consumer",
        "_reply",
        "data",
        "deliveries",
        "headers",
        "lease_renewed_at",
        "sequence",
        "settled",
        "subject",
        "timestamp",
    )

    def __init__(self, consumer: Settling, msg: Msg, now: float) -> None:
        self._consumer = consumer
        self._reply = msg.reply
        self.subject = msg.subject
        self.data = msg.data
        self.headers: dict[str, str] = msg.headers or {}
        # $JS.ACK.[domain.account.]stream.consumer.delivered.stream_seq.consumer_seq.time.pending
        tokens = msg.reply.split(".")
        self.deliveries = int(tokens[-5])
        self.sequence = int(tokens[-4])
        self.timestamp = int(tokens[-2]) / 1e9
        self.settled = False
        self.lease_renewed_at = now

    @property
    def tenant(self) -> TenantId:
        """The tenant as the subject says it (`agentflow.commands.{tenant}.…`)."""
        tokens = self.subject.split(".")
        place = 3 if tokens[1] == "tasks" else 2
        return TenantId(tokens[place] if len(tokens) > place else "unknown")

    @property
    def reply_to(self) -> str | None:
        """The reply subject named in the header, if any."""
        return self.headers.get(REPLY_TO)

    async def ack(self) -> None:
        """Processed: the message may be forgotten."""
        await self._settle(ACK)

    async def nak(self, delay: float = 0.0) -> None:
        """Hand it back, to be delivered again after `delay` seconds."""
        if delay > 0:
            await self._settle(b'-NAK {"delay": %d}' % int(delay * 1e9))
        else:
            await self._settle(b"-NAK")

    def release(self) -> None:
        """Let go without a word: somebody else has this message now and settles it."""
        self.settled = True

    async def in_progress(self) -> None:
        """Renew the lease now; the loop does it by itself."""
        await self._consumer.answer(self._reply, IN_PROGRESS)

    async def dead_letter(self, code: str, reason: str) -> None:
        """Put it aside with the reason, for operators to see and replay; then forget it here."""
        from agentflow.bus.bus import utc_now

        payload = self.data[:_MAX_DEAD_BYTES]
        cut = f" (payload cut to {_MAX_DEAD_BYTES} bytes)" if len(payload) < len(self.data) else ""
        await self._consumer.bury(
            DeadLetter(
                tenant=self.tenant,
                origin_stream=self._consumer.stream,
                origin_subject=self.subject,
                origin_sequence=self.sequence,
                deliveries=self.deliveries,
                code=code,
                reason=reason + cut,
                occurred_at=utc_now(),
                headers=self.headers,
                payload_base64=base64.b64encode(payload).decode("ascii"),
            )
        )
        await self.ack()

    async def _settle(self, payload: bytes) -> None:
        if self.settled:
            return
        self.settled = True
        await self._consumer.answer(self._reply, payload)
