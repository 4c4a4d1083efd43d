"""Cancelling: an order to the executor, and a short look at what it did.

What has ended stays as it ended: cancelling a cancelled execution succeeds again, cancelling
one that ended otherwise is a conflict.
"""

from collections.abc import Mapping

from agentflow.bus.bus import Bus
from agentflow.contracts.commands import CancelExecution
from agentflow.contracts.ids import ExecutionId
from agentflow.contracts.status import ExecutionStatus
from agentflow.gateway.bus_calls import require_connection
from agentflow.gateway.clock import utc_now
from agentflow.gateway.errors import Conflict
from agentflow.gateway.executions import Executions
from agentflow.gateway.live_feed import LiveFeed
from agentflow.gateway.permissions import Principal
from agentflow.gateway.settings import GatewaySettings
from agentflow.gateway.views import CancelView


class Canceller:
    """Publishes cancels."""

    def __init__(
        self, bus: Bus, feed: LiveFeed, executions: Executions, settings: GatewaySettings
    ) -> None:
        self._bus = bus
        self._feed = feed
        self._executions = executions
        self._settings = settings

    async def cancel(
        self,
        principal: Principal,
        execution_id: str,
        *,
        reason: str | None,
        request_id: str | None,
        trace: Mapping[str, str],
    ) -> CancelView:
        """Ask for the end, wait a moment for it; raises NotFound, Conflict, DependencyDown."""
        require_connection(self._bus)
        tenant = principal.tenant
        before = await self._executions.summary(tenant, execution_id)
        if before.status.is_terminal:
            return _ended(execution_id, before.status)
        command = CancelExecution(
            tenant=tenant,
            execution_id=ExecutionId(execution_id),
            reason=reason,
            requested_by=principal.user,
            request_id=request_id,
            occurred_at=utc_now(),
        )
        with self._feed.waiting(tenant, execution_id) as waiter:
            await self._bus.publish(
                command,
                timeout=self._settings.bus_timeout_seconds,
                headers=dict(trace) or None,
            )
            seconds = self._settings.cancel_wait_seconds
            end = await self._feed.end_of(waiter, execution_id, seconds)
        if end is not None:
            return _ended(execution_id, end.STATUS)
        return CancelView(execution_id=execution_id, status=before.status)


def _ended(execution_id: str, status: ExecutionStatus) -> CancelView:
    if status is not ExecutionStatus.CANCELLED:
        raise Conflict(
            "execution_ended",
            f"The execution ended as {status} and cannot be cancelled.",
            execution_id=execution_id,
        )
    return CancelView(execution_id=execution_id, status=status)
