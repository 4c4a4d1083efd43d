"""Publishing with an answer. A publish ends in exactly one of: stored at a sequence,
refused for a reason, or unknown after its deadline.

Everything is sent again with the same message id until it is answered, so a lost answer
never doubles a message. The size is checked here, because an oversized payload makes the
server close the connection for all its users.
"""

import asyncio
from dataclasses import dataclass, field

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError, OutboundBufferLimitError
from nats.js.errors import NotFoundError

from agentflow.bus.errors import (
    AlreadyOutstanding,
    BusDown,
    PublishRefused,
    StreamFull,
    WrongLastSequence,
)
from agentflow.contracts.errors import OutcomeUnknown, PayloadTooLarge

MSG_ID = "Nats-Msg-Id"
EXPECTED_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"

RESEND_AFTER = 2.0
"""Seconds without an answer before a message is sent again."""
_TICK = 0.25
_HEADER_ROOM = 4096
_WRONG_LAST_SEQUENCE = (10071, 10164)
_STORE_FAILED = 10077


@dataclass(frozen=True)
class Expect:
    """Write only if `sequence` is still the last one on `subjects` (0: nothing there yet)."""

    subjects: str
    sequence: int


@dataclass(slots=True)
class _Pending:
    subject: str
    payload: bytes
    headers: dict[str, str]
    future: asyncio.Future[int]
    deadline: float
    sent_at: float
    resend: bool
    sends: int = field(default=1)


class Publisher:
    """Pipelined publishes over one connection, answered on one inbox."""

    def __init__(self, nc: Client) -> None:
        self._nc = nc
        self._js = nc.jetstream()
        self._inbox = nc.new_inbox()
        self._pending: dict[str, _Pending] = {}
        self._counter = 0
        self._ticker: asyncio.Task[None] | None = None
        self._checks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen for answers."""
        await self._nc.subscribe(f"{self._inbox}.*", cb=self._on_answer)
        self._ticker = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Give what is unanswered up as unknown."""
        if self._ticker is not None:
            self._ticker.cancel()
        for check in self._checks:
            check.cancel()
        for pending in list(self._pending.values()):
            if not pending.future.done():
                pending.future.set_exception(OutcomeUnknown("The service is stopping."))
        self._pending.clear()

    @property
    def unanswered(self) -> int:
        return len(self._pending)

    def check_size(
        self, subject: str, payload: bytes, headers: dict[str, str] | None = None
    ) -> None:
        """Raise PayloadTooLarge when the server would refuse payload and headers together."""
        limit = self._nc.max_payload - _HEADER_ROOM
        size = len(payload) + (_wire_size(headers) if headers else 0)
        if size > limit:
            raise PayloadTooLarge(
                f"The message for {subject} has {size:,} bytes; the bus takes at most {limit:,}."
            )

    async def send(
        self,
        subject: str,
        payload: bytes,
        *,
        msg_id: str,
        headers: dict[str, str] | None = None,
        expect: Expect | None = None,
        timeout: float = 30.0,
        resend: bool = True,
    ) -> asyncio.Future[int]:
        """Put the message on the wire; the future gives its sequence or the refusal.

        `timeout` is in seconds over all repetitions. With `resend=False` silence becomes
        OutcomeUnknown at the deadline and the caller looks before it repeats.
        """
        self.check_size(subject, payload, headers)
        every = {**(headers or {}), MSG_ID: msg_id}
        if expect is not None:
            every[EXPECTED_SEQUENCE] = str(expect.sequence)
            if expect.subjects != subject:
                every[EXPECTED_SUBJECT] = expect.subjects
        self._counter += 1
        token = str(self._counter)
        loop = asyncio.get_running_loop()
        now = loop.time()
        pending = _Pending(
            subject, payload, every, loop.create_future(), now + timeout, now, resend
        )
        self._pending[token] = pending
        await self._put(token, pending)
        return pending.future

    async def _put(self, token: str, pending: _Pending) -> None:
        try:
            await self._nc.publish(
                pending.subject,
                pending.payload,
                reply=f"{self._inbox}.{token}",
                headers=pending.headers,
            )
        except OutboundBufferLimitError:
            # The buffer for the time without a connection is full: try at the next tick.
            pending.sent_at = 0.0
        except MaxPayloadError as error:
            # The server we are connected to now takes less than the one before.
            self._fail(token, PayloadTooLarge(f"The bus takes no such message: {error}"))
        except NatsError as error:
            # Closed, or about to be. Nobody else's message may suffer: the ticker lives on.
            self._fail(token, BusDown(f"Not connected to the bus: {error}"))

    async def _on_answer(self, msg: Msg) -> None:
        token = msg.subject.rpartition(".")[2]
        pending = self._pending.get(token)
        if pending is None:
            return
        if not msg.data:
            # "No responders": the stream has no leader just now. The ticker repeats.
            pending.sent_at = min(pending.sent_at, pending.sent_at - RESEND_AFTER + _TICK)
            return
        answer = orjson.loads(msg.data)
        error = answer.get("error")
        if error is None:
            self._resolve(token, int(answer["seq"]))
            return
        code = int(error.get("err_code", 0))
        if code in _WRONG_LAST_SEQUENCE and pending.sends > 1:
            # An earlier copy of this very message may be what is last now.
            check = asyncio.create_task(self._look_for_own(token, pending))
            self._checks.add(check)
            check.add_done_callback(self._checks.discard)
            return
        if code == 0 or code in (10008, 10009):
            return  # temporarily unavailable, no quorum: the ticker repeats
        self._fail(token, _refusal(code, str(error.get("description", "")), pending.subject))

    async def _look_for_own(self, token: str, pending: _Pending) -> None:
        try:
            stream = await self._js.find_stream_name_by_subject(pending.subject)
            last = await self._js.get_last_msg(stream, pending.subject)
        except NotFoundError:
            last = None
        except (NatsError, TimeoutError):
            return  # no answer: the ticker repeats the message, and with it this look
        own = pending.headers[MSG_ID]
        if last is not None and last.seq and (last.headers or {}).get(MSG_ID) == own:
            self._resolve(token, last.seq)
        else:
            self._fail(token, WrongLastSequence(f"Somebody wrote to {pending.subject} first."))

    def _resolve(self, token: str, sequence: int) -> None:
        pending = self._pending.pop(token, None)
        if pending is not None and not pending.future.done():
            pending.future.set_result(sequence)

    def _fail(self, token: str, error: Exception) -> None:
        pending = self._pending.pop(token, None)
        if pending is not None and not pending.future.done():
            pending.future.set_exception(error)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_TICK)
            now = loop.time()
            for token, pending in list(self._pending.items()):
                if pending.future.done():
                    self._pending.pop(token, None)
                elif now >= pending.deadline:
                    self._fail(token, self._unknown(pending))
                elif pending.resend and now - pending.sent_at >= RESEND_AFTER:
                    await self._again(token, pending, now)

    async def _again(self, token: str, pending: _Pending, now: float) -> None:
        if not self._nc.is_connected:
            return
        pending.sends += 1
        pending.sent_at = now
        await self._put(token, pending)

    def _unknown(self, pending: _Pending) -> Exception:
        return OutcomeUnknown(
            f"No answer from the bus for {pending.subject} in time; it may or may not be stored."
        )


def _wire_size(headers: dict[str, str]) -> int:
    """Bytes of the headers as sent, each with its colon, space and line end."""
    return sum(
        len(name) + 4 + (len(value) if value.isascii() else len(value.encode()))
        for name, value in headers.items()
    )


def _refusal(code: int, description: str, subject: str) -> Exception:
    if code in _WRONG_LAST_SEQUENCE:
        return WrongLastSequence(f"Somebody wrote to {subject} first.")
    if code == _STORE_FAILED and "per subject" in description:
        return AlreadyOutstanding(f"{subject} already holds a message.")
    if code in (_STORE_FAILED, 10047) or "maximum" in description:
        return StreamFull(f"The stream behind {subject} is full ({description}).")
    return PublishRefused(f"The bus refused a message for {subject}: {description} ({code}).")
