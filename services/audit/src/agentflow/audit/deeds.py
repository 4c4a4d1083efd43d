"""Messages as deeds: an ended execution is `workflow.executed`, an audit message is itself.

The tenant is the subject's; a body that says otherwise is refused. No state and no output of a
workflow gets in here: an audit says who did what, and how it went.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from agentflow.audit.errors import MalformedRecord
from agentflow.contracts.audits import AuditRecord
from agentflow.contracts.events import ExecutionEnded, event_type
from agentflow.contracts.ids import TenantId
from agentflow.contracts.message import Message
from agentflow.storage.audit import NewRecord

Parsed = TypeVar("Parsed", bound=Message)


@dataclass(frozen=True, slots=True)
class Deed:
    """A record and whose log it belongs to."""

    tenant: TenantId
    record: NewRecord
    sequence: int


def execution_deed(subject: str, data: bytes, sequence: int) -> Deed:
    """The end of an execution; raises MalformedRecord. `sequence` is its place in EVENTS."""
    kind = event_type(subject)
    if kind is None or not issubclass(kind, ExecutionEnded):
        raise MalformedRecord(f"{subject!r} is not the end of an execution.")
    event = _parse(kind, data)
    tokens = subject.split(".")
    _same(subject, (event.tenant, event.execution_id), (tokens[2], tokens[3]))
    details: dict[str, Any] = {
        "status": event.STATUS.value,
        "workflow_name": event.workflow_name,
        "duration_ms": event.duration_ms,
        "tokens_used": event.tokens_used,
        "cost": event.cost,
        "tags": list(event.tags),
        "error_code": event.error.code if event.error else None,
        "error_node": event.error.node_id if event.error else None,
    }
    record = NewRecord(
        record_id=f"events.{sequence}.{event.execution_id}"[:160],
        resource="workflow",
        verb="executed",
        occurred_at=event.occurred_at,
        actor=event.requested_by,
        resource_id=event.execution_id,
        details={name: value for name, value in details.items() if value is not None},
    )
    return Deed(event.tenant, record, sequence)


def audit_deed(subject: str, data: bytes, sequence: int) -> Deed:
    """An audit message; raises MalformedRecord. `sequence` is its place in AUDIT."""
    tokens = subject.split(".")
    if len(tokens) != 5:
        raise MalformedRecord(f"{subject!r} is not the subject of an audit record.")
    told = _parse(AuditRecord, data)
    _same(subject, (told.tenant, told.resource, told.verb), tuple(tokens[2:]))
    record = NewRecord(
        # The stream may be made anew and count from 1 again: the time keeps the id unique.
        record_id=f"audit.{sequence}.{int(told.occurred_at.timestamp() * 1_000_000)}",
        resource=told.resource,
        verb=told.verb,
        occurred_at=told.occurred_at,
        actor=told.actor,
        resource_id=told.resource_id,
        request_id=told.request_id,
        client_address=told.client_address,
        details=told.details,
    )
    return Deed(told.tenant, record, sequence)


def _parse(kind: type[Parsed], data: bytes) -> Parsed:
    try:
        return kind.decode(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(str(step) for step in first["loc"]) or "the body"
        raise MalformedRecord(f"{kind.__name__}: {first['msg']} at {where}.") from None


def _same(subject: str, said: tuple[str, ...], expected: tuple[str, ...]) -> None:
    if said != expected:
        raise MalformedRecord(f"The body says {'.'.join(said)}, its subject is {subject!r}.")
