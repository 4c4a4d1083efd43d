"""Headers every message carries: its schema, and for facts the CloudEvents names."""

from functools import lru_cache

from agentflow.contracts.audits import AuditRecord
from agentflow.contracts.events import Event
from agentflow.contracts.message import Message

SCHEMA = "Agentflow-Schema"
REPLY_TO = "Agentflow-Reply-To"


def headers_for(
    message: Message, msg_id: str, more: dict[str, str] | None = None
) -> dict[str, str]:
    """The headers of `message`; `more` holds e.g. the trace context."""
    headers = dict(_of_class(type(message)))
    if "ce-type" in headers:
        headers["ce-id"] = msg_id
    if more:
        headers.update(more)
    return headers


@lru_cache(maxsize=256)
def _of_class(message: type[Message]) -> tuple[tuple[str, str], ...]:
    headers = {SCHEMA: message.schema_name()}
    if issubclass(message, Event | AuditRecord):
        headers |= {
            "ce-specversion": "1.0",
            "ce-type": f"io.agentflow.{message.__name__}",
            "ce-source": "/agentflow",
        }
    return tuple(headers.items())
