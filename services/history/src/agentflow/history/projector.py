"""Projecting a batch: exactly once in effect, whatever happens to it.

A batch is written in one transaction and acknowledged after it committed. While the database
does not answer the batch is held; an event nobody can store is put aside with the reason.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog

from agentflow.history.errors import MalformedEvent
from agentflow.history.figures import Figures
from agentflow.history.fold import fold
from agentflow.history.recorded import Recorded, read_event
from agentflow.storage.errors import Unstorable
from agentflow.storage.patience import PatientWriter, root_cause
from agentflow.storage.projection import ProjectionBatch


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

    def __init__(self, store: WritesBatches, writer: PatientWriter, figures: Figures) -> None:
        self._store = store
        self._writer = writer
        self._figures = figures
        self._log = structlog.get_logger("agentflow.history")

    async def project(self, deliveries: Sequence[EventDelivery]) -> None:
        """Store the batch; raises HandedBack when the service stops before it could."""
        by_sequence = {delivery.sequence: delivery for delivery in deliveries}
        events: list[Recorded] = []
        for delivery in deliveries:
            try:
                events.append(_read(delivery))
            except MalformedEvent as error:
                await self._put_aside(delivery, error.code, error.message)

        async def refuse(event: Recorded, error: Exception) -> None:
            reason = f"The database refuses it: {root_cause(error)}"
            await self._put_aside(by_sequence[event.sequence], "unstorable_event", reason)

        if events:
            await self._writer.store(events, self._write, refuse)
            newest = max(deliveries, key=lambda delivery: delivery.sequence)
            self._figures.projected(len(events), newest.sequence, newest.timestamp)

    async def _write(self, events: Sequence[Recorded]) -> None:
        try:
            batch = fold(events, datetime.now(UTC))
        except Exception as error:
            # Whatever the fold cannot take, it is the event's content and not the database.
            raise Unstorable(f"{type(error).__name__}: {error}") from error
        await self._store.write(batch)

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


def _read(delivery: EventDelivery) -> Recorded:
    return read_event(delivery.subject, delivery.data, delivery.sequence, delivery.timestamp)
