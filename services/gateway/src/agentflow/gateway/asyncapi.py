"""The bus as AsyncAPI 3: every message class with its subject and schema.

Made from the message classes alone, so it cannot say anything else than they do.
"""

import re
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from agentflow.contracts.audits import AuditRecord, DeadLetter, TokenDelta
from agentflow.contracts.commands import CancelExecution, ExecuteWorkflow, ValidateWorkflow
from agentflow.contracts.events import EVENT_TYPES
from agentflow.contracts.message import Message
from agentflow.contracts.problem import Problem
from agentflow.contracts.replies import Accepted, ExecutionResult, ValidationReport
from agentflow.contracts.tasks import RunNode

_FIELD = re.compile(r"\{(\w+)\}")
_ORDERS: tuple[type[Message], ...] = (ExecuteWorkflow, ValidateWorkflow, CancelExecution)
_FACTS: tuple[type[Message], ...] = (*EVENT_TYPES, TokenDelta)
_INSIDE: tuple[type[Message], ...] = (RunNode, AuditRecord, DeadLetter)
_REPLIES: tuple[type[BaseModel], ...] = (Accepted, ExecutionResult, ValidationReport, Problem)
_SCHEMAS = "#/components/schemas/{model}"


def asyncapi_document(prefix: str) -> dict[str, Any]:
    """Channels, operations and messages, as a client of the bus sees them."""
    messages = (*_ORDERS, *_FACTS, *_INSIDE)
    channels = {message.__name__: _channel(message, prefix) for message in messages}
    channels["Reply"] = {
        "address": None,
        "description": "The subject a command names in `reply_to` or `Agentflow-Reply-To`",
        "messages": {r.__name__: _message_ref(r.__name__) for r in _REPLIES},
    }
    operations = {_verb(m): _operation(m, "send") for m in _ORDERS}
    operations |= {_verb(m): _operation(m, "receive") for m in _FACTS}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "AgentFlow Core: the bus",
            "version": version("agentflow-gateway"),
            "license": {"name": "Apache-2.0"},
            "description": "Seen from a client: it sends commands and receives events.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {m.__name__: _message(m) for m in (*messages, *_REPLIES)},
            "schemas": _schemas((*messages, *_REPLIES)),
        },
    }


def _channel(message: type[Message], prefix: str) -> dict[str, Any]:
    stream = f"stream {message.STREAM}" if message.STREAM else "no stream: lossy"
    return {
        "address": f"{prefix}.{message.SUBJECT}",
        "description": f"NATS subject; {stream}",
        "messages": {message.__name__: _message_ref(message.__name__)},
        "parameters": {
            name: {"description": "one subject token"} for name in _FIELD.findall(message.SUBJECT)
        },
    }


def _operation(message: type[Message], action: str) -> dict[str, Any]:
    channel = f"#/channels/{message.__name__}"
    found: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": channel},
        "messages": [{"$ref": f"{channel}/messages/{message.__name__}"}],
        "summary": (message.__doc__ or "").strip().split("\n")[0],
    }
    if action == "send":
        found["reply"] = {"channel": {"$ref": "#/channels/Reply"}}
    return found


def _verb(message: type[Message]) -> str:
    name = message.__name__
    return name[0].lower() + name[1:]


def _message_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{name}"}


def _message(model: Any) -> dict[str, Any]:
    return {
        "name": model.__name__,
        "summary": (model.__doc__ or "").strip().split("\n")[0],
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
    }


def _schemas(models: tuple[type[BaseModel], ...]) -> dict[str, Any]:
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = [(m, "validation") for m in models]
    _, found = models_json_schema(wanted, ref_template=_SCHEMAS)
    return dict(sorted(found["$defs"].items()))
