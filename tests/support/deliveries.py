"""Deliveries without a bus: they remember what became of them."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from agentflow.contracts.message import Message


@dataclass
class FakeDelivery:
    """A message of a stream; `buried` holds code and reason once it was put aside."""

    subject: str
    data: bytes
    sequence: int
    timestamp: float = field(default_factory=time.time)
    buried: tuple[str, str] | None = None

    async def dead_letter(self, code: str, reason: str) -> None:
        self.buried = (code, reason)


def deliver(messages: Iterable[Message], first: int = 1) -> list[FakeDelivery]:
    """The messages as a stream would deliver them, counted from `first`."""
    return [
        FakeDelivery(message.subject(), message.encode(), sequence)
        for sequence, message in enumerate(messages, first)
    ]
