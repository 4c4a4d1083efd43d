"""Ending an execution that no run can carry to its end.

The terminal event is fenced like every other: it is written behind what the log holds, or
not at all. An execution that has its end keeps it.
"""

from agentflow.bus.bus import Bus, utc_now
from agentflow.bus.errors import WrongLastSequence
from agentflow.bus.publisher import Expect
from agentflow.contracts.events import (
    CancelRequested,
    ExecutionEnded,
    ExecutionFailed,
    event_of,
)
from agentflow.contracts.ids import ExecutionId, TenantId
from agentflow.contracts.problem import Issue, NodeError
from agentflow.executor.intake import Order


async def end_as_failed(
    bus: Bus,
    order: Order,
    error: NodeError,
    issues: tuple[Issue, ...] = (),
    *,
    leave_started: bool = False,
) -> ExecutionEnded | None:
    """Write ExecutionFailed; the end the log holds already, if it holds one, else None.

    With `leave_started` an execution that somebody has begun is left to them.
    """
    tenant, execution_id = order.command.tenant, order.execution_id
    fence = f"{bus.prefix}.events.{tenant}.{execution_id}.execution.>"
    while True:
        last = await bus.log.last(tenant, execution_id, "execution.>")
        known = event_of(last.subject, last.data) if last else None
        if isinstance(known, ExecutionEnded):
            return known
        if leave_started and last is not None and not isinstance(known, CancelRequested):
            return None
        if leave_started and last is not None and await _is_started(bus, order):
            return None
        failed = ExecutionFailed(
            tenant=TenantId(tenant),
            execution_id=ExecutionId(execution_id),
            occurred_at=utc_now(),
            final_state={},
            duration_ms=0.0,
            requested_by=order.command.requested_by,
            tags=order.command.tags,
            error=error,
            issues=issues,
        )
        try:
            await bus.publish(failed, expect=Expect(fence, last.sequence if last else 0))
        except WrongLastSequence:
            continue
        return None


async def _is_started(bus: Bus, order: Order) -> bool:
    tenant, execution_id = order.command.tenant, order.execution_id
    return await bus.log.last(tenant, execution_id, "execution.started") is not None
