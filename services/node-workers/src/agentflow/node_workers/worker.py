"""Worker: one task from its delivery to its settlement.

The node runs under its timeout and never past the execution's deadline. Its event is stored
before the task is acked; a result that was paid for is told until the bus takes it, not
computed again, not even by another worker to which the task comes a second time. A task
whose execution has ended is dropped; one that keeps killing its workers fails as
`worker_crashed`.
"""

import asyncio
import random
from dataclasses import dataclass

import structlog

from agentflow.bus.bus import Bus, utc_now
from agentflow.bus.delivery import Delivery
from agentflow.bus.values import ValueStore
from agentflow.contracts.errors import (
    AgentflowError,
    DependencyDown,
    NodeFailed,
    PayloadTooLarge,
)
from agentflow.contracts.events import NodeEvent
from agentflow.contracts.result import NodeResult
from agentflow.contracts.state import REF_PREFIX
from agentflow.contracts.tasks import RunNode
from agentflow.node_workers.attempts import delay_before_next, policy_of
from agentflow.node_workers.cancels import Cancels, RunningNode
from agentflow.node_workers.measures import Measures
from agentflow.node_workers.outcome import Attempt
from agentflow.node_workers.runner import NodeRunner, NodeTimeout
from agentflow.node_workers.settings import WorkersSettings
from agentflow.telemetry.tracing import inject, span

_BEYOND_DEADLINE = 2.0
"""Seconds past the deadline after which a run is cut here, should no executor do it."""
_TELL_AGAIN = 2.0
_REF = REF_PREFIX.encode()


@dataclass(frozen=True)
class WorkerParts:
    """What a worker is made of."""

    bus: Bus
    values: ValueStore
    runner: NodeRunner
    cancels: Cancels
    measures: Measures
    settings: WorkersSettings
    worker_id: str


class Worker:
    """Runs tasks; knows nothing of pools and consumers."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts
        self._settings = parts.settings
        self._log = structlog.get_logger()

    async def work(self, task: RunNode, delivery: Delivery) -> None:
        """Run the task and settle its delivery."""
        attempt = Attempt(task, delivery.deliveries, self._parts.worker_id, utc_now())
        if self._is_late(attempt) or await self._is_told(attempt):
            self._parts.measures.dropped.inc()
            await delivery.ack()
            return
        with span(f"node {task.node.kind}", delivery.headers, node_id=task.node_id):
            trace = _trace(delivery)
            if self._kills(attempt):
                await self._give_up(attempt, _crashed(attempt), trace)
                await delivery.ack()
                return
            await self._attempt(attempt, delivery, trace)

    def _is_late(self, attempt: Attempt) -> bool:
        task = attempt.task
        return attempt.started_at >= task.deadline or self._parts.cancels.is_over(task)

    async def _is_told(self, attempt: Attempt) -> bool:
        """Whether a worker before this one stored the outcome and died before it acked."""
        if attempt.number == 1:
            return False
        task = attempt.task
        return await self._parts.bus.log.node_resolved(task.tenant, task.execution_id, task.node_id)

    def _kills(self, attempt: Attempt) -> bool:
        policy = policy_of(attempt.task.node, attempt.task.source)
        return attempt.number > policy.max_attempts + self._settings.crash_allowance

    async def _attempt(self, attempt: Attempt, delivery: Delivery, trace: dict[str, str]) -> None:
        """Run once, tell how it went, settle."""
        event: NodeEvent
        delay: float | None = None
        with self._parts.cancels.running(attempt.task) as running:
            try:
                result = await self._run(attempt, delivery, trace)
                event = await self._completed(attempt, result)
            except asyncio.CancelledError:
                if not running.cut:
                    raise  # the worker is stopping: the consumer hands the task back
                _forgive(running)
                event = attempt.cancelled(utc_now())
            except NodeFailed as error:
                event, delay = self._after_failure(attempt, error)
        self._count(attempt, event)
        await self._tell(attempt, event, trace)
        if delay is None:
            await delivery.ack()
        else:
            await delivery.nak(delay)

    async def _run(self, attempt: Attempt, delivery: Delivery, trace: dict[str, str]) -> NodeResult:
        task = attempt.task
        timeout, at_deadline = self._timeout(attempt)
        loop = asyncio.get_running_loop()
        late = loop.call_later(
            self._settings.started_after_seconds, self._say_started, attempt, trace
        )
        try:
            state = task.state
            if _REF in delivery.data:
                state = await self._parts.values.resolve(state, task.tenant)
            return await self._parts.runner.run(
                task.node,
                task.source,
                state,
                effect_key=task.effect_key,
                timeout=timeout,
                tenant=task.tenant,
            )
        except NodeTimeout:
            if at_deadline:
                raise _past_deadline(task) from None
            raise
        except NodeFailed:
            raise
        except AgentflowError as error:
            raise NodeFailed(
                error.code, error.message, hint=error.hint, retryable=_passes(error)
            ) from error
        finally:
            late.cancel()

    def _timeout(self, attempt: Attempt) -> tuple[float, bool]:
        """Seconds this attempt may take, and whether it is the deadline that says so."""
        own = attempt.task.node.timeout_seconds or self._settings.node_timeout_seconds
        left = (attempt.task.deadline - attempt.started_at).total_seconds()
        return (own, False) if own < left else (left + _BEYOND_DEADLINE, True)

    async def _completed(self, attempt: Attempt, result: NodeResult) -> NodeEvent:
        try:
            return await attempt.completed(utc_now(), result, self._parts.values)
        except PayloadTooLarge as error:
            return self._final(attempt, _too_large(error))

    def _after_failure(self, attempt: Attempt, error: NodeFailed) -> tuple[NodeEvent, float | None]:
        task, now = attempt.task, utc_now()
        left = (task.deadline - now).total_seconds()
        chance = random.random()  # noqa: S311 - jitter, not a secret
        policy = policy_of(task.node, task.source)
        delay = delay_before_next(error, policy, attempt.number, left, chance)
        if delay is None:
            return self._final(attempt, error), None
        told = error.to_node_error(task.node_id, attempt.number)
        return attempt.retrying(now, told, delay), delay

    def _final(self, attempt: Attempt, error: NodeFailed) -> NodeEvent:
        told = error.to_node_error(attempt.task.node_id, attempt.number)
        if isinstance(error, NodeTimeout):
            return attempt.timed_out(utc_now(), told)
        if isinstance(error, _PastDeadline):
            return attempt.cancelled(utc_now())
        return attempt.failed(utc_now(), told)

    async def _give_up(self, attempt: Attempt, error: NodeFailed, trace: dict[str, str]) -> None:
        event = self._final(attempt, error)
        self._count(attempt, event)
        await self._tell(attempt, event, trace)

    async def _tell(self, attempt: Attempt, event: NodeEvent, trace: dict[str, str]) -> None:
        """Store the event, for as long as it takes: running the node again costs more."""
        message_id = attempt.message_id(event)
        while True:
            try:
                await self._parts.bus.publish(event, msg_id=message_id, headers=trace)
                return
            except PayloadTooLarge as error:
                event = self._final(attempt, _too_large(error))
                message_id = attempt.message_id(event)
            except DependencyDown as error:
                self._log.warning(
                    "node.event_not_stored",
                    execution_id=attempt.task.execution_id,
                    node_id=attempt.task.node_id,
                    error=error.code,
                )
                await asyncio.sleep(_TELL_AGAIN)

    def _say_started(self, attempt: Attempt, trace: dict[str, str]) -> None:
        event = attempt.started(utc_now())
        saying = asyncio.ensure_future(
            self._parts.bus.send(event, msg_id=attempt.message_id(event), headers=trace)
        )
        saying.add_done_callback(_unanswered)

    def _count(self, attempt: Attempt, event: NodeEvent) -> None:
        outcome = event.SUBJECT.rpartition(".")[2]
        seconds = (event.occurred_at - attempt.started_at).total_seconds()
        self._parts.measures.ended(attempt.task.node.kind, outcome, max(0.0, seconds))
        if outcome == "cancelled":
            self._parts.measures.cut.inc()


class _PastDeadline(NodeFailed):
    """The execution's deadline passed and nobody ended it."""


def _past_deadline(task: RunNode) -> NodeFailed:
    return _PastDeadline(
        "cancelled", f"The execution of node {task.node_id!r} is past its deadline."
    )


def _crashed(attempt: Attempt) -> NodeFailed:
    return NodeFailed(
        "worker_crashed",
        f"The node {attempt.task.node_id!r} was given out {attempt.number - 1} times and no "
        "worker lived to say how it went.",
        hint="Look at the workers' logs and memory; the node's input may be what kills them.",
    )


def _too_large(error: PayloadTooLarge) -> NodeFailed:
    return NodeFailed(
        error.code,
        f"The node's result is too large: {error.message}",
        hint="Return less: a page, a filter, a summary.",
    )


def _passes(error: AgentflowError) -> bool:
    return isinstance(error, DependencyDown)


def _forgive(running: RunningNode) -> None:
    """We cancelled the node, not the handler: the handler goes on."""
    if running.task is not None:
        running.task.uncancel()


def _unanswered(saying: "asyncio.Future[asyncio.Future[int]]") -> None:
    """Whether node.started is stored matters to nobody's result."""
    if saying.cancelled() or saying.exception() is not None:
        return
    saying.result().add_done_callback(lambda answer: answer.cancelled() or answer.exception())


def _trace(delivery: Delivery) -> dict[str, str]:
    own = inject()
    if own:
        return own
    parent = delivery.headers.get("traceparent")
    return {"traceparent": parent} if parent else {}
