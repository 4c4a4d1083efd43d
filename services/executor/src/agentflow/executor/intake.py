"""Reading an execute command from strangers.

The tenant is the subject's token. Without an execution id one is derived from where the
command stands in the stream, so a redelivery is the same execution.
"""

import uuid
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from agentflow.bus.delivery import Delivery
from agentflow.contracts.commands import Command, ExecuteWorkflow
from agentflow.contracts.errors import BadInput
from agentflow.contracts.ids import ExecutionId, is_token
from agentflow.contracts.problem import Issue
from agentflow.contracts.strict_json import JsonLimits, parse_json

C = TypeVar("C", bound=Command)
_SPACE = uuid.UUID("6f1c2f0e-5f0b-4c55-9a7e-0f6f1d6c9a11")


class BadCommand(BadInput):
    """The command cannot be used."""

    code = "bad_command"
    status = 422


@dataclass(frozen=True)
class Order:
    """A command that can be carried out, and whom to tell."""

    command: ExecuteWorkflow
    execution_id: ExecutionId
    reply_to: tuple[str, ...]


def read_order(delivery: Delivery, limits: JsonLimits) -> Order:
    """The order in `delivery`; raises BadInput that says what and where."""
    command = read_command(delivery, ExecuteWorkflow, limits)
    if (command.workflow is None) == (command.workflow_id is None):
        raise BadCommand(
            "The command must hold exactly one of `workflow` (the spec) and `workflow_id`."
        )
    execution_id = command.execution_id or derived_id(delivery)
    return Order(command, execution_id, reply_subjects(delivery, command.reply_to))


def read_command(delivery: Delivery, kind: type[C], limits: JsonLimits) -> C:
    """Parse and check a command of any kind; raises BadInput."""
    tenant = delivery.tenant
    if not is_token(tenant):
        raise BadCommand(f"The tenant {tenant!r} in the subject is not a valid id.")
    body = parse_json(delivery.data, limits)
    if not isinstance(body, dict):
        raise BadCommand(f"A command is a JSON object, not {type(body).__name__}.")
    if body.get("tenant", tenant) != tenant:
        raise BadCommand("The tenant in the body is not the tenant of the subject.")
    try:
        return kind.model_validate({**body, "tenant": tenant})
    except ValidationError as error:
        raise BadCommand(
            f"The command does not fit {kind.schema_name()}.", issues=issues_of(error)
        ) from None


def issues_of(error: ValidationError) -> list[Issue]:
    """What pydantic found, without the offending values."""
    return [
        Issue(
            code=f"command_{found['type']}",
            message=found["msg"],
            pointer="".join(f"/{part}" for part in found["loc"]),
        )
        for found in error.errors(include_url=False, include_input=False, include_context=False)
    ]


def derived_id(delivery: Delivery) -> ExecutionId:
    """Always the same for the same stored command, also after the stream is made anew."""
    place = f"{delivery.subject}/{delivery.sequence}/{delivery.timestamp:.9f}"
    return ExecutionId(f"exec_{uuid.uuid5(_SPACE, place).hex}")


def reply_subjects(delivery: Delivery, in_body: str | None) -> tuple[str, ...]:
    """Where answers go: named in the body, in our header, or both."""
    named = [delivery.reply_to, in_body]
    root = delivery.subject.partition(".")[0]
    return tuple(dict.fromkeys(s for s in named if s and _is_reply_subject(s, root)))


def peek_reply(delivery: Delivery) -> tuple[str, ...]:
    """Where to tell of a command that could not be read; best effort."""
    body: Any = None
    try:
        body = parse_json(delivery.data)
    except BadInput:
        body = None
    except Exception:  # noqa: BLE001 - hostile bytes; the header may still name a subject
        body = None
    in_body = body.get("reply_to") if isinstance(body, dict) else None
    return reply_subjects(delivery, in_body if isinstance(in_body, str) else None)


def _is_reply_subject(subject: str, root: str) -> bool:
    """Plain subjects only: no wildcard, nothing of the server's, no way to forge our messages."""
    tokens = subject.split(".")
    return (
        len(subject) <= 512
        and all(tokens)
        and not any(c.isspace() or c in "*>" for c in subject)
        and not tokens[0].startswith("$")
        and tokens[0] != root
    )
