"""Failed authentication is on record, but a flood of it cannot fill the record.

A bucket of tokens bounds the records per minute; how many were left out is told in the
next one. A record never holds the key.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from agentflow.contracts.audits import AuditRecord
from agentflow.contracts.errors import AgentflowError
from agentflow.contracts.ids import TenantId
from agentflow.contracts.message import Message
from agentflow.gateway.clock import utc_now

_BURST = 20.0


class Publishes(Protocol):
    """The part of the bus that is needed here."""

    @property
    def connected(self) -> bool: ...

    async def publish(self, message: Message, *, timeout: float) -> int: ...


class AuthFailures:
    """Tells the audit stream who was refused."""

    def __init__(
        self, bus: Publishes, per_minute: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bus = bus
        self._per_second = per_minute / 60
        self._clock = clock
        self._tokens = _BURST
        self._filled_at = clock()
        self._left_out = 0
        self._sending: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("agentflow.gateway")

    def record(
        self,
        reason: str,
        *,
        path: str,
        request_id: str | None,
        address: str | None,
        tenant: TenantId,
        actor: str | None,
    ) -> None:
        """Put one refusal on record unless there were too many lately. Does not wait."""
        if not self._take() or not self._bus.connected:
            self._left_out += 1
            return
        details = {"reason": reason, "path": path[:200], "left_out_before": self._left_out}
        self._left_out = 0
        audit = AuditRecord(
            tenant=tenant,
            resource="auth",
            verb="failed",
            occurred_at=utc_now(),
            actor=actor,
            request_id=request_id,
            client_address=address,
            details=details,
        )
        task = asyncio.create_task(self._send(audit))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Wait shortly for what is on its way."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=2)

    async def _send(self, audit: AuditRecord) -> None:
        try:
            await self._bus.publish(audit, timeout=5.0)
        except AgentflowError as error:
            self._log.warning("gateway.audit_not_stored", error=error.code)

    def _take(self) -> bool:
        now = self._clock()
        self._tokens = min(_BURST, self._tokens + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
