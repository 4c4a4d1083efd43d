"""Watching a running installation from outside, with plain nats-py: what was answered, put
aside, stored, delivered. Counts come from the server, not from our own code.
"""

import asyncio
import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any, Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from tests.support.waiting import eventually


@dataclass
class Sent:
    """A message that was put on a subject, and what came of it."""

    subject: str
    data: bytes
    stream: str
    sequence: int
    inbox: str
    replies: list[dict[str, Any]] = field(default_factory=list)
    sent_at: float = field(default_factory=time.monotonic)
    settled_at: float | None = None

    @property
    def took(self) -> float:
        """Seconds until the first answer or the dead letter."""
        assert self.settled_at is not None
        return self.settled_at - self.sent_at

    @property
    def problems(self) -> list[dict[str, Any]]:
        return [reply for reply in self.replies if "kind" not in reply]


class BusWatch:
    """`async with BusWatch(url) as bus:`; `bus.send(…)`, `bus.dead`, `bus.deliveries()`."""

    def __init__(self, url: str, prefix: str = "agentflow") -> None:
        self._url = url
        self.prefix = prefix
        self.dead: dict[tuple[str, int], dict[str, Any]] = {}
        self.events: list[tuple[str, bytes]] = []
        self._waiting: dict[str, Sent] = {}
        self.nc: Client
        self.js: JetStreamContext

    async def __aenter__(self) -> Self:
        self.nc = await nats.connect(self._url)
        self.js = self.nc.jetstream()
        self._inbox = self.nc.new_inbox()
        await self.nc.subscribe(f"{self.prefix}.dead.>", cb=self._on_dead)
        await self.nc.subscribe(f"{self.prefix}.live.>", cb=self._on_stored)
        await self.nc.subscribe(f"{self._inbox}.*", cb=self._on_reply)
        await self.nc.flush()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.nc.close()

    async def send(
        self,
        subject: str,
        data: bytes,
        *,
        header_reply: bool = True,
        headers: dict[str, str] | None = None,
    ) -> Sent:
        """Store `data` under `prefix.subject`; answers to its inbox are collected."""
        inbox = f"{self._inbox}.{len(self._waiting)}"
        told = dict(headers or {})
        if header_reply:
            told["Agentflow-Reply-To"] = inbox
        full = f"{self.prefix}.{subject}"
        sent_at = time.monotonic()
        ack = await self.js.publish(full, data, headers=told or None)
        sent = Sent(full, data, ack.stream, ack.seq, inbox, sent_at=sent_at)
        self._waiting[inbox] = sent
        return sent

    def inbox(self) -> str:
        """The inbox the next message will get."""
        return f"{self._inbox}.{len(self._waiting)}"

    async def dead_letter(self, sent: Sent, timeout: float = 20) -> dict[str, Any]:
        """Wait for the dead letter of this very message."""
        key = (sent.stream, sent.sequence)
        says = f"a dead letter for {sent.data[:60]!r} on {sent.subject}"
        await eventually(lambda: key in self.dead, timeout, says=says)
        letter = self.dead[key]
        sent.settled_at = letter["at"]
        return letter

    async def problem(self, sent: Sent, timeout: float = 20) -> dict[str, Any]:
        """Wait for the problem that answers this very message."""
        says = f"a problem for {sent.data[:60]!r} on {sent.subject}"
        await eventually(lambda: sent.problems, timeout, says=says)
        return sent.problems[0]

    async def result(self, sent: Sent, timeout: float = 20) -> dict[str, Any]:
        """Wait for the last answer: a result or a report."""
        ends = ("result", "validation")
        says = f"a result for {sent.data[:60]!r} on {sent.subject}"
        await eventually(
            lambda: [r for r in sent.replies if r.get("kind") in ends or "kind" not in r],
            timeout,
            says=says,
        )
        return sent.replies[-1]

    async def deliveries(self) -> dict[str, int]:
        """Messages delivered so far by every durable consumer, redeliveries included."""
        found: dict[str, int] = {}
        for name in ("COMMANDS", "TASKS", "EVENTS", "AUDIT"):
            for info in await self.js.consumers_info(f"{self.prefix}_{name}"):
                assert info.delivered is not None
                found[info.name or ""] = info.delivered.consumer_seq or 0
        return found

    async def left(self, stream: str) -> int:
        """Messages the stream still holds."""
        return (await self.js.stream_info(f"{self.prefix}_{stream}")).state.messages

    async def _on_reply(self, msg: Msg) -> None:
        for _ in range(200):  # an answer may overtake the publish's own acknowledgement
            if msg.subject in self._waiting:
                break
            await asyncio.sleep(0.01)
        sent = self._waiting[msg.subject]
        sent.settled_at = sent.settled_at or time.monotonic()
        sent.replies.append(json.loads(msg.data))

    async def _on_dead(self, msg: Msg) -> None:
        letter = json.loads(msg.data)
        letter["at"] = time.monotonic()
        letter["payload"] = base64.b64decode(letter["payload_base64"])
        self.dead[letter["origin_stream"], letter["origin_sequence"]] = letter

    async def _on_stored(self, msg: Msg) -> None:
        """Told by the stream after storing; a publish that was refused is not heard here."""
        if "Nats-Stream" in (msg.headers or {}):
            subject = msg.subject.replace(".live.", ".events.", 1)
            self.events.append((subject, msg.data))
