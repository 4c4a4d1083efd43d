"""Projecting a batch: exactly once in effect, whatever happens to it.

A batch is written in one transaction and acknowledged after it committed. While the database
does not answer the batch is held and tried again; nothing is lost and nothing spins. A row the
database refuses is found by halving the batch, put aside with the reason, and the rest goes on.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog

from agentflow.history.errors import HandedBack, MalformedEvent
from agentflow.history.figures import Figures
from agentflow.history.fold import fold
from agentflow.history.recorded import Recorded, read_event
from agentflow.storage.failures import is_refusal
from agentflow.storage.projection import ProjectionBatch

_FIRST_PAUSE = 0.1


class EventDelivery(Protocol):
    """What is needed of a delivery."""

    subject: str
    data: bytes
    sequence: int
    timestamp: float

    async def dead_letter(self, code: str, reason: str) -> None: ...


class WritesBatches(Protocol):
    """The store."""

    async def write(self, batch: ProjectionBatch) -> None: ...


class Projector:
    """Takes batches of events and leaves rows."""

    def __init__(
        self,
        store: WritesBatches,
        figures: Figures,
        *,
        write_timeout: float,
        retry_max: float,
        stopping: Callable[[], bool],
    ) -> None:
        self._store = store
        self._figures = figures
        self._write_timeout = write_timeout
        self._retry_max = retry_max
        self._stopping = stopping
        self._log = structlog.get_logger("agentflow.history")

    async def project(self, deliveries: Sequence[EventDelivery]) -> None:
        """Store the batch; raises HandedBack when the service stops before it could."""
        by_sequence = {delivery.sequence: delivery for delivery in deliveries}
        events = []
        for delivery in deliveries:
            try:
                events.append(
                    read_event(
                        delivery.subject, delivery.data, delivery.sequence, delivery.timestamp
                    )
                )
            except MalformedEvent as error:
                await self._put_aside(delivery, error.code, error.message)
        if events:
            await self._store_all(events, by_sequence)
            newest = max(deliveries, key=lambda delivery: delivery.sequence)
            self._figures.projected(len(events), newest.sequence, newest.timestamp)

    async def _store_all(
        self, events: list[Recorded], by_sequence: dict[int, EventDelivery]
    ) -> None:
        refusal = await self._write(events)
        if refusal is None:
            return
        if len(events) == 1:
            reason = f"The database refuses it: {_short(refusal)}"
            await self._put_aside(by_sequence[events[0].sequence], "unstorable_event", reason)
            return
        middle = len(events) // 2
        await self._store_all(events[:middle], by_sequence)
        await self._store_all(events[middle:], by_sequence)

    async def _write(self, events: list[Recorded]) -> Exception | None:
        """Write until it is stored (None) or refused (the refusal)."""
        try:
            batch = fold(events, datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - an event the fold cannot take is its own fault
            return error
        pause = _FIRST_PAUSE
        held = False
        while True:
            try:
                async with asyncio.timeout(self._write_timeout):
                    await self._store.write(batch)
            except Exception as error:  # noqa: BLE001 - told apart below: data or database
                if is_refusal(error):
                    return error
                if not held:
                    held = True
                    self._figures.held(True)
                    self._log.warning("history.held", error=_short(error), events=len(events))
            else:
                if held:
                    self._figures.held(False)
                    self._log.info("history.caught_on", events=len(events))
                return None
            if self._stopping():
                raise HandedBack
            await asyncio.sleep(pause)
            pause = min(self._retry_max, pause * 2)

    async def _put_aside(self, delivery: EventDelivery, code: str, reason: str) -> None:
        self._log.error(
            "history.put_aside",
            subject=delivery.subject,
            sequence=delivery.sequence,
            code=code,
            reason=reason,
        )
        await delivery.dead_letter(code, reason)
        self._figures.put_aside(code)


def _short(error: BaseException) -> str:
    """The driver's own words, without the statement SQLAlchemy adds to them."""
    root: BaseException = error
    while (below := getattr(root, "orig", None) or root.__cause__) is not None:
        root = below
    return f"{type(root).__name__}: {str(root)[:300]}"
