"""Doorways: a command comes in, one thing is called, the delivery is settled."""

import structlog

from agentflow.bus.bus import Bus, utc_now
from agentflow.bus.commands import peek_reply, read_command, reply_subjects
from agentflow.bus.delivery import Delivery
from agentflow.bus.errors import WrongLastSequence
from agentflow.bus.publisher import Expect
from agentflow.bus.pull_loop import MAX_HANDLER_FAILURES, PASSING
from agentflow.contracts.commands import CancelExecution
from agentflow.contracts.errors import AgentflowError, BadInput, PayloadTooLarge
from agentflow.contracts.events import CancelRequested, ExecutionEnded, ExecutionStarted, event_of
from agentflow.contracts.problem import NodeError
from agentflow.contracts.replies import Accepted
from agentflow.contracts.status import ExecutionStatus
from agentflow.contracts.strict_json import JsonLimits
from agentflow.executor.compiled import CompiledWorkflow
from agentflow.executor.ending import result_of
from agentflow.executor.errors import LostOwnership
from agentflow.executor.intake import Order, read_order
from agentflow.executor.parts import Parts
from agentflow.executor.refusing import end_as_failed
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
            await self._execute(delivery, order)
        except LostOwnership as lost:
            self._log.info("execution.lost", reason=lost.message, id=order.execution_id)
            delivery.release()
        except (BadInput, PayloadTooLarge) as error:
            await self._refuse(delivery, order, error)
        except PASSING:
            raise  # passes: the command comes again, for as long as it takes
        except Exception as error:
            if delivery.deliveries < MAX_HANDLER_FAILURES:
                raise
            await self._give_up(delivery, order, error)

    async def _execute(self, delivery: Delivery, order: Order) -> None:
        compiled = await self._compiled(delivery, order)
        first = delivery.deliveries == 1
        with span("execution", delivery.headers, execution_id=order.execution_id):
            run = ExecutionRun(
                self._parts, order, compiled, self._running.next_owner(), _trace(delivery), first
            )
            with self._running.holding(run):
                ended = await self._carry_out(run, order)
        await self._tell(order, ended)
        await delivery.ack()

    async def _compiled(self, delivery: Delivery, order: Order) -> CompiledWorkflow:
        """The workflow, in the version the execution started with if it has started (G8)."""
        version = None
        if delivery.deliveries > 1 and order.command.workflow_version is None:
            tenant, execution_id = order.command.tenant, order.execution_id
            last = await self._bus.log.last(tenant, execution_id, "execution.started")
            started = event_of(last.subject, last.data) if last else None
            if isinstance(started, ExecutionStarted):
                version = started.workflow_version
        return await self._parts.compiler.for_command(order.command, version)

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

    async def _tell_problem(self, order: Order, error: AgentflowError) -> None:
        problem = error.to_problem().model_copy(update={"execution_id": order.execution_id})
        for subject in order.reply_to:
            await self._bus.reply(subject, problem.model_dump_json(exclude_none=True).encode())

    async def _refuse_unreadable(self, delivery: Delivery, error: AgentflowError) -> None:
        problem = error.to_problem().model_dump_json(exclude_none=True).encode()
        for subject in peek_reply(delivery):
            await self._bus.reply(subject, problem)
        await delivery.dead_letter(error.code, error.message)

    async def _refuse(self, delivery: Delivery, order: Order, error: AgentflowError) -> None:
        """The command is readable, its workflow is not: the execution has failed, and says why.

        Unless it is another's command for an execution that is under way: that one goes on.
        """
        issues = error.issues if isinstance(error, BadInput) else ()
        cause = NodeError(code=error.code, message=error.message, hint=error.hint)
        first = delivery.deliveries == 1
        ended = await end_as_failed(self._bus, order, cause, issues[:100], leave_started=first)
        if ended is not None and not first:
            await self._tell(order, ended)
        else:
            await self._tell_problem(order, error)
        await delivery.ack()

    async def _give_up(self, delivery: Delivery, order: Order, error: Exception) -> None:
        """We fail at it again and again: it ends FAILED, and operators find the command."""
        what = f"{type(error).__name__}: {error}"
        self._log.error("execution.given_up", id=order.execution_id, error=what)
        failure = AgentflowError(
            f"The executor failed at this execution {delivery.deliveries} times.",
            hint="The command is in the dead letters, with the reason.",
        )
        cause = NodeError(code=failure.code, message=failure.message, hint=failure.hint)
        ended = await end_as_failed(self._bus, order, cause)
        if ended is not None:
            await self._tell(order, ended)
        else:
            await self._tell_problem(order, failure)
        await delivery.dead_letter("handler_failed", what)


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
