"""Recording a batch: each deed once, in the order it came, whatever happens in between.

One transaction per tenant, acknowledged after it committed. While the database does not answer
the batch is held; what can never be recorded is put aside with the reason.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import structlog

from agentflow.audit.deeds import Deed
from agentflow.audit.errors import MalformedRecord
from agentflow.audit.figures import Figures
from agentflow.contracts.ids import TenantId
from agentflow.storage.audit import NewRecord
from agentflow.storage.patience import PatientWriter, root_cause

ReadDeed = Callable[[str, bytes, int], Deed]


class AuditDelivery(Protocol):
    """What is needed of a delivery."""

    subject: str
    data: bytes
    sequence: int

    async def dead_letter(self, code: str, reason: str) -> None: ...


class AppendsRecords(Protocol):
    """The store."""

    async def append(
        self, tenant: TenantId, records: Sequence[NewRecord], recorded_at: datetime
    ) -> int: ...


class Recorder:
    """Takes batches of messages and leaves records."""

    def __init__(self, log: AppendsRecords, writer: PatientWriter, figures: Figures) -> None:
        self._audit_log = log
        self._writer = writer
        self._figures = figures
        self._log = structlog.get_logger("agentflow.audit")

    async def record(self, deliveries: Sequence[AuditDelivery], read: ReadDeed) -> None:
        """Record the batch; raises HandedBack when the service stops before it could."""
        by_sequence = {delivery.sequence: delivery for delivery in deliveries}
        by_tenant: dict[TenantId, list[Deed]] = {}
        for delivery in sorted(deliveries, key=lambda delivery: delivery.sequence):
            try:
                deed = read(delivery.subject, delivery.data, delivery.sequence)
            except MalformedRecord as error:
                await self._put_aside(delivery, error.code, error.message)
            else:
                by_tenant.setdefault(deed.tenant, []).append(deed)

        async def refuse(deed: Deed, error: Exception) -> None:
            reason = f"The database refuses it: {root_cause(error)}"
            await self._put_aside(by_sequence[deed.sequence], "unstorable_record", reason)

        for deeds in by_tenant.values():
            await self._writer.store(deeds, self._append, refuse)

    async def _append(self, deeds: Sequence[Deed]) -> None:
        records = [deed.record for deed in deeds]
        added = await self._audit_log.append(deeds[0].tenant, records, datetime.now(UTC))
        self._figures.recorded(added)

    async def _put_aside(self, delivery: AuditDelivery, code: str, reason: str) -> None:
        self._log.error(
            "audit.put_aside",
            subject=delivery.subject,
            sequence=delivery.sequence,
            code=code,
            reason=reason,
        )
        await delivery.dead_letter(code, reason)
        self._figures.put_aside(code)
