"""Reading commands from strangers, the same way in every service that takes them.

The tenant is the subject's token; a body that says otherwise is refused. Answers go only to
plain reply subjects: nobody can make us write to a stream or to the server's own subjects.
"""

from typing import Any, TypeVar

from pydantic import ValidationError

from agentflow.bus.delivery import Delivery
from agentflow.contracts.commands import Command
from agentflow.contracts.errors import AgentflowError, BadInput
from agentflow.contracts.ids import is_token
from agentflow.contracts.problem import Issue
from agentflow.contracts.strict_json import JsonLimits, parse_json

C = TypeVar("C", bound=Command)


class BadCommand(BadInput):
    """The command cannot be used."""

    code = "bad_command"
    status = 422


def read_command(delivery: Delivery, kind: type[C], limits: JsonLimits) -> C:
    """The command in `delivery`; raises BadInput or PayloadTooLarge that says what and where."""
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


def reply_subjects(delivery: Delivery, in_body: str | None) -> tuple[str, ...]:
    """Where answers go: named in the body, in our header, or both."""
    named = [delivery.reply_to, in_body]
    root = delivery.subject.partition(".")[0]
    return tuple(dict.fromkeys(s for s in named if s and _is_reply_subject(s, root)))


def peek_reply(delivery: Delivery) -> tuple[str, ...]:
    """Where to tell of a command that could not be read; best effort."""
    try:
        body: Any = parse_json(delivery.data)
    except AgentflowError:
        body = None  # hostile bytes; the header may still name a subject
    in_body = body.get("reply_to") if isinstance(body, dict) else None
    return reply_subjects(delivery, in_body if isinstance(in_body, str) else None)


def _is_reply_subject(subject: str, root: str) -> bool:
    tokens = subject.split(".")
    return (
        len(subject) <= 512
        and all(tokens)
        and not any(c.isspace() or c in "*>" for c in subject)
        and not tokens[0].startswith("$")
        and tokens[0] != root
    )
