"""Facts. The EVENTS stream is the truth of an execution; everything else is a fold of it.

CommandAccepted      the gateway has stored the command
ExecutionStarted     an executor has taken it          (once)
ExecutionResumed     another executor has taken it over
CancelRequested      from here no new node is dispatched
ExecutionCompleted │ ExecutionFailed │ ExecutionCancelled │ ExecutionTimedOut   (one, once)
NodeStarted          only for nodes that run longer than a moment
NodeRetrying         an attempt failed, another follows
NodeCompleted │ NodeFailed │ NodeSkipped │ NodeTimedOut    (the first in the log counts)
"""

from typing import Any, ClassVar

from pydantic import AwareDatetime, Field, ValidationError

from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.contracts.message import Message, StreamName
from agentflow.contracts.problem import Issue, NodeError
from agentflow.contracts.result import Usage
from agentflow.contracts.status import ExecutionStatus


class Event(Message):
    """Base of all events: they belong to one execution of one tenant."""

    STREAM: ClassVar[StreamName | None] = "EVENTS"

    tenant: TenantId
    execution_id: ExecutionId
    occurred_at: AwareDatetime


class CommandAccepted(Event):
    """The gateway has stored the command; the execution is PENDING."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.command.accepted"

    workflow_name: str | None = None
    workflow_id: str | None = None
    workflow_version: int | None = None
    requested_by: str | None = None
    request_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)


class ExecutionStarted(Event):
    """An executor has taken the command. Holds what a reader needs to make sense of the rest."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.execution.started"

    executor_id: str
    workflow_name: str
    workflow_id: str | None = None
    workflow_version: int | None = None
    definition_hash: str
    node_count: int
    initial_state: dict[str, Any]
    deadline: AwareDatetime
    requested_by: str | None = None
    request_id: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)


class ExecutionResumed(Event):
    """Another executor has taken over; the former one finds this and stops."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.execution.resumed"

    executor_id: str


class CancelRequested(Event):
    """Cancel was accepted: from here no new node is dispatched."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.execution.cancel_requested"

    requested_by: str | None = None
    reason: str | None = None


class ExecutionEnded(Event):
    """Base of the four terminal events; `final_state` is partial unless it completed."""

    STATUS: ClassVar[ExecutionStatus]

    final_state: dict[str, Any] = Field(description="large values are references")
    tokens_used: int = 0
    cost: float | None = None
    duration_ms: float = Field(description="from started to ended")
    workflow_name: str | None = None
    requested_by: str | None = None
    tags: tuple[str, ...] = ()
    error: NodeError | None = None
    warnings: tuple[str, ...] = ()


class ExecutionCompleted(ExecutionEnded):
    """Every node is resolved."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.execution.completed"
    STATUS = ExecutionStatus.COMPLETED


class ExecutionFailed(ExecutionEnded):
    """A node failed for good, or the workflow could not be used."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.execution.failed"
    STATUS = ExecutionStatus.FAILED

    issues: tuple[Issue, ...] = ()


class ExecutionCancelled(ExecutionEnded):
    """Somebody cancelled it."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.execution.cancelled"
    STATUS = ExecutionStatus.CANCELLED


class ExecutionTimedOut(ExecutionEnded):
    """The execution's deadline passed."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.execution.timed_out"
    STATUS = ExecutionStatus.TIMED_OUT


class NodeEvent(Event):
    """Base of all node events. `attempt` counts from 1."""

    node_id: NodeId
    node_type: str
    attempt: int = 1
    worker_id: str | None = None
    dispatched_at: AwareDatetime | None = None
    started_at: AwareDatetime | None = None

    @property
    def queue_wait_ms(self) -> float | None:
        """Time between dispatch and start of this attempt."""
        if self.dispatched_at is None or self.started_at is None:
            return None
        return max(0.0, (self.started_at - self.dispatched_at).total_seconds() * 1000)

    @property
    def duration_ms(self) -> float | None:
        """Time between start and end of this attempt."""
        if self.started_at is None:
            return None
        return max(0.0, (self.occurred_at - self.started_at).total_seconds() * 1000)


class NodeStarted(NodeEvent):
    """A worker runs the node and it is taking longer than a moment."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.node.started"


class NodeRetrying(NodeEvent):
    """An attempt failed; another follows after `delay_seconds`."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.node.retrying"

    error: NodeError
    delay_seconds: float
    input: Any = None


class NodeCompleted(NodeEvent):
    """The node's result. See NodeResult for the fields."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.node.completed"

    output: Any = None
    output_key: str | None = None
    writes: dict[str, Any] = Field(default_factory=dict)
    input: Any = None
    usage: Usage | None = None
    warnings: tuple[str, ...] = ()


class NodeFailed(NodeEvent):
    """The node is out of attempts, or its error is not worth a retry."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.node.failed"

    error: NodeError
    input: Any = None


class NodeTimedOut(NodeFailed):
    """The node ran longer than its timeout on its last attempt and was cut."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.node.timed_out"


class NodeSkipped(NodeEvent):
    """No way into the node was taken, or its `when` was false."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.node.skipped"

    reason: str


class NodeCancelled(NodeEvent):
    """The node's run was cut because the execution ended."""

    SUBJECT: ClassVar[str] = "events.{tenant}.{execution_id}.node.cancelled"


EVENT_TYPES: tuple[type[Event], ...] = (
    CommandAccepted,
    ExecutionStarted,
    ExecutionResumed,
    CancelRequested,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionCancelled,
    ExecutionTimedOut,
    NodeStarted,
    NodeRetrying,
    NodeCompleted,
    NodeFailed,
    NodeTimedOut,
    NodeSkipped,
    NodeCancelled,
)

_BY_VERB: dict[str, type[Event]] = {event.SUBJECT.split("}.", 2)[2]: event for event in EVENT_TYPES}


def event_type(subject: str) -> type[Event] | None:
    """The class of the event on `subject`, e.g. `….node.completed`; None for one we do not know."""
    entity_and_verb = ".".join(subject.rsplit(".", 2)[1:])
    return _BY_VERB.get(entity_and_verb)


def decode_event(subject: str, data: bytes) -> Event | None:
    """Parse the event on `subject`; None when its type is not known to this release."""
    cls = event_type(subject)
    return None if cls is None else cls.decode(data)


def event_of(subject: str, data: bytes) -> Event | None:
    """The event on `subject` as every fold of the log sees it; None for what all of them ignore.

    Ignored are types of other releases, bodies nobody can read, and bodies that belong to
    another execution than the subject. History puts the last two aside; nobody stumbles.
    """
    try:
        event = decode_event(subject, data)
    except ValidationError:
        return None
    if event is None or subject.split(".")[-4:-2] != [event.tenant, event.execution_id]:
        return None
    return event
