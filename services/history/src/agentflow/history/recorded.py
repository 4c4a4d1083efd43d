"""One event of the log as the rows it becomes.

The tenant and the execution are the subject's; a body that says otherwise is refused. An event
of a type this release does not know is kept in the timeline: it is a fact, only not ours.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import ValidationError

from agentflow.contracts.events import Event, NodeEvent, decode_event
from agentflow.history.errors import MalformedEvent
from agentflow.history.node_rows import node_row
from agentflow.storage.projection import Row


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event that can be projected. `event` is None for types of other releases."""

    tenant: str
    execution_id: str
    sequence: int
    name: str
    occurred_at: datetime
    event: Event | None
    row: Row


def read_event(subject: str, data: bytes, sequence: int, stored_at: float) -> Recorded:
    """The event on `subject`; raises MalformedEvent. `stored_at`: Unix seconds, the stream's."""
    tokens = subject.split(".")
    if len(tokens) != 6:
        raise MalformedEvent(f"{subject!r} is not the subject of an event of one execution.")
    tenant, execution_id = tokens[2], tokens[3]
    name = f"{tokens[4]}.{tokens[5]}"
    try:
        event = decode_event(subject, data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(str(step) for step in first["loc"]) or "the body"
        raise MalformedEvent(f"{name}: {first['msg']} at {where}.") from None
    if event is None:
        occurred_at = _time_of_unknown(name, data, stored_at)
        row = _event_row(tenant, execution_id, sequence, name, occurred_at, None)
        return Recorded(tenant, execution_id, sequence, name, occurred_at, None, row)
    if (event.tenant, event.execution_id) != (tenant, execution_id):
        raise MalformedEvent(
            f"{name}: the body belongs to execution {event.execution_id!r} of tenant "
            f"{event.tenant!r}, the subject to {execution_id!r} of {tenant!r}."
        )
    if isinstance(event, NodeEvent):
        row = node_row(event, sequence, name)
    else:
        row = _event_row(tenant, execution_id, sequence, name, event.occurred_at, _actor(event))
    return Recorded(tenant, execution_id, sequence, name, event.occurred_at, event, row)


def _event_row(
    tenant: str,
    execution_id: str,
    sequence: int,
    name: str,
    occurred_at: datetime,
    actor: str | None,
) -> Row:
    return {
        "tenant": tenant,
        "execution_id": execution_id,
        "event_seq": sequence,
        "event": name,
        "occurred_at": occurred_at,
        "actor": actor,
    }


def _actor(event: Event) -> str | None:
    actor: Any = getattr(event, "executor_id", None) or getattr(event, "requested_by", None)
    return actor if isinstance(actor, str) else None


def _time_of_unknown(name: str, data: bytes, stored_at: float) -> datetime:
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise MalformedEvent(f"{name}: the body is not JSON.") from None
    said = body.get("occurred_at") if isinstance(body, dict) else None
    try:
        moment = datetime.fromisoformat(str(said))
    except ValueError:
        return datetime.fromtimestamp(stored_at, UTC)
    return moment if moment.tzinfo else datetime.fromtimestamp(stored_at, UTC)
