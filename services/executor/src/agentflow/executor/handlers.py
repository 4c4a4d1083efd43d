"""Doorways: a command comes in, one thing is called, the delivery is settled."""

import structlog

from agentflow.bus.bus import Bus, utc_now
from agentflow.bus.commands import peek_reply, read_command, reply_subjects
from agentflow.bus.delivery import Delivery
from agentflow.bus.errors import WrongLastSequence
from agentflow.bus.publisher import Expect
from agentflow.contracts.commands import CancelExecution
from agentflow.contracts.errors import AgentflowError, BadInput, PayloadTooLarge
from agentflow.contracts.events import CancelRequested, ExecutionEnded, ExecutionFailed, event_of
from agentflow.contracts.ids import ExecutionId, TenantId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.replies import Accepted
from agentflow.contracts.status import ExecutionStatus
from agentflow.contracts.strict_json import JsonLimits
from agentflow.executor.ending import result_of
from agentflow.executor.errors import LostOwnership
from agentflow.executor.intake import Order, read_order
from agentflow.executor.parts import Parts
from agentflow.executor.run import ExecutionRun
from agentflow.executor.running import Running
from agentflow.telemetry.tracing import inject, span

MEBIBYTE = 1024 * 1024


class Handlers:
    """The executor's two doorways: execute and cancel."""

    def __init__(self, parts: Parts, running: Running) -> None:
        self._parts = parts
        self._bus: Bus = parts.bus
        self._running = running
        self._limits = JsonLimits(max_bytes=int(parts.settings.max_command_mib * MEBIBYTE))
        self._log = structlog.get_logger()

    async def on_execute(self, delivery: Delivery) -> None:
        """Own the execution until it has ended; the un-acked command is the lease."""
        try:
            order = read_order(delivery, self._limits)
        except (BadInput, PayloadTooLarge) as error:
            await self._refuse_unreadable(delivery, error)
            return
        try:
            compiled = await self._parts.compiler.for_command(order.command)
        except BadInput as error:
            await self._refuse(delivery, order, error)
            return
        with span("execution", delivery.headers, execution_id=order.execution_id):
            run = ExecutionRun(
                self._parts, order, compiled, self._running.next_owner(), _trace(delivery)
            )
            try:
                with self._running.holding(run):
                    ended = await self._carry_out(run, order)
            except LostOwnership as lost:
                self._log.info("execution.lost", reason=lost.message, id=order.execution_id)
                delivery.release()
                return
            except PayloadTooLarge as error:
                await self._refuse(delivery, order, error)
                return
        await self._tell(order, ended)
        await delivery.ack()

    async def on_cancel(self, delivery: Delivery) -> None:
        """Write the request into the execution's log; the log decides who came first."""
        try:
            command = read_command(delivery, CancelExecution, self._limits)
        except (BadInput, PayloadTooLarge) as error:
            await self._refuse_unreadable(delivery, error)
            return
        tenant, execution_id = command.tenant, command.execution_id
        while True:
            last = await self._bus.log.last(tenant, execution_id, "execution.>")
            known = event_of(last.subject, last.data) if last else None
            verb = last.subject.rpartition(".")[2] if last and known else ""
            if verb.upper() in ExecutionStatus.__members__ or verb == "cancel_requested":
                break
            requested = CancelRequested(
                tenant=tenant,
                execution_id=execution_id,
                occurred_at=utc_now(),
                requested_by=command.requested_by,
                reason=command.reason,
            )
            fence = f"{self._bus.prefix}.events.{tenant}.{execution_id}.execution.>"
            try:
                await self._bus.publish(
                    requested, expect=Expect(fence, last.sequence if last else 0)
                )
            except WrongLastSequence:
                continue
            break
        accepted = Accepted(execution_id=execution_id, status=_status_after(verb))
        for subject in reply_subjects(delivery, command.reply_to):
            await self._bus.reply(subject, accepted.encode())
        await delivery.ack()

    async def _carry_out(self, run: ExecutionRun, order: Order) -> ExecutionEnded:
        if order.reply_to:
            run.on_started = Accepted(
                execution_id=order.execution_id, status=ExecutionStatus.RUNNING
            ).encode()
        ended = await run.carry_out()
        status = ended.STATUS.value
        self._parts.measures.ended.labels(status=status).inc()
        self._parts.measures.duration.labels(status=status).observe(ended.duration_ms / 1000)
        return ended

    async def _tell(self, order: Order, ended: ExecutionEnded) -> None:
        if order.reply_to:
            result = result_of(ended).encode()
            for subject in order.reply_to:
                await self._bus.reply(subject, result)

    async def _refuse_unreadable(self, delivery: Delivery, error: AgentflowError) -> None:
        problem = error.to_problem().model_dump_json(exclude_none=True).encode()
        for subject in peek_reply(delivery):
            await self._bus.reply(subject, problem)
        await delivery.dead_letter(error.code, error.message)

    async def _refuse(self, delivery: Delivery, order: Order, error: AgentflowError) -> None:
        """The command is readable, its workflow is not: the execution has failed, and says why."""
        tenant, execution_id = order.command.tenant, order.execution_id
        issues = error.issues if isinstance(error, BadInput) else ()
        failed = ExecutionFailed(
            tenant=TenantId(tenant),
            execution_id=ExecutionId(execution_id),
            occurred_at=utc_now(),
            final_state={},
            duration_ms=0.0,
            requested_by=order.command.requested_by,
            tags=order.command.tags,
            error=NodeError(code=error.code, message=error.message, hint=error.hint),
            issues=issues[:100],
        )
        fence = f"{self._bus.prefix}.events.{tenant}.{execution_id}.execution.>"
        try:
            await self._bus.publish(failed, expect=Expect(fence, 0))
        except WrongLastSequence:
            self._log.info("execution.refused_again", execution_id=execution_id)
        problem = error.to_problem().model_copy(update={"execution_id": execution_id})
        for subject in order.reply_to:
            await self._bus.reply(subject, problem.model_dump_json(exclude_none=True).encode())
        await delivery.ack()


def _status_after(verb: str) -> ExecutionStatus:
    ended = ExecutionStatus.__members__.get(verb.upper())
    return ended or ExecutionStatus.RUNNING


def _trace(delivery: Delivery) -> dict[str, str]:
    """The trace context tasks and events carry on: our span's, or the caller's as it came."""
    own = inject()
    if own:
        return own
    parent = delivery.headers.get("traceparent")
    return {"traceparent": parent} if parent else {}
