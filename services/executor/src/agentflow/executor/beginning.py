"""How a run begins: the first event of a new execution, or the log of one begun before."""

from dataclasses import dataclass, field
from datetime import timedelta

from agentflow.bus.bus import Bus, utc_now
from agentflow.contracts.events import (
    CommandAccepted,
    Event,
    ExecutionEnded,
    ExecutionStarted,
    event_of,
)
from agentflow.contracts.status import ExecutionStatus
from agentflow.executor.compiled import CompiledWorkflow
from agentflow.executor.ending import ended_event
from agentflow.executor.fitting import fit
from agentflow.executor.intake import Order
from agentflow.executor.parts import Parts


@dataclass
class ReadLog:
    """What the log held. `events` are those the walk folds, in order."""

    started: ExecutionStarted | None = None
    ended: ExecutionEnded | None = None
    events: list[Event] = field(default_factory=list)
    last_sequence: int = 0
    fence_sequence: int = 0


async def started_event(
    parts: Parts, order: Order, compiled: CompiledWorkflow, owner: str
) -> ExecutionStarted:
    """The first event of the execution; raises PayloadTooLarge for an impossible state."""
    command, spec = order.command, compiled.spec
    now = utc_now()
    timeout = command.timeout_seconds or spec.timeout_seconds or parts.settings.default_timeout
    initial = await parts.values.offload(command.initial_state, command.tenant, order.execution_id)
    return ExecutionStarted(
        tenant=command.tenant,
        execution_id=order.execution_id,
        occurred_at=now,
        executor_id=owner,
        workflow_name=spec.name,
        workflow_id=compiled.workflow_id,
        workflow_version=compiled.version,
        definition_hash=compiled.plan.definition_hash,
        node_count=len(spec.nodes),
        initial_state=await fit(initial, parts.values, command.tenant, order.execution_id),
        deadline=now + timedelta(seconds=timeout),
        requested_by=command.requested_by,
        request_id=command.request_id,
        tags=command.tags,
        metadata=command.metadata,
    )


async def read_log(bus: Bus, order: Order) -> ReadLog:
    """Everything the log holds of the execution now."""
    log = ReadLog()
    async for message in bus.read(order.command.tenant, order.execution_id):
        log.last_sequence = message.sequence
        if is_fenced(message.subject):
            log.fence_sequence = message.sequence
        event = event_of(message.subject, message.data)
        if event is None or isinstance(event, CommandAccepted):
            continue
        if isinstance(event, ExecutionStarted):
            log.started = log.started or event
        elif isinstance(event, ExecutionEnded):
            log.ended = log.ended or event
        log.events.append(event)
    return log


def is_fenced(subject: str) -> bool:
    """Whether `subject` counts for the fence: readable or not, the server counts it."""
    return subject.split(".")[-2] == "execution"


def cancelled_before_start(started: ExecutionStarted) -> ExecutionEnded:
    """The end of an execution that was cancelled while its command was still waiting."""
    state = dict(started.initial_state)
    return ended_event(started, ExecutionStatus.CANCELLED, state, started.occurred_at)
