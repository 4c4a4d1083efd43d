"""What OpenAPI says of a route, kept beside the route: every answer, every error, an example.

Bodies are read by us and not by FastAPI, so their schemas are referred to here and collected
by openapi.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel
from starlette.responses import Response

from agentflow.gateway.problems import PROBLEM_JSON, plain_problem
from agentflow.gateway.views import CancelView

Also = Mapping[int, tuple[type[BaseModel], str, Mapping[str, Any]]]

ID = "exec_019aa0c1d2e37f4a8b5c6d7e8f901234"
_WHEN = "2026-11-21T03:02:01.500000Z"
_SUMMARY: dict[str, Any] = {
    "execution_id": ID,
    "status": "COMPLETED",
    "workflow_name": "hello",
    "requested_by": "dev",
    "tags": ["docs"],
    "metadata": {},
    "created_at": _WHEN,
    "started_at": _WHEN,
    "ended_at": _WHEN,
    "duration_ms": 12.5,
    "tokens_used": 0,
    "cost": 0.0,
}
PAGE_EXAMPLE: dict[str, Any] = {"items": [_SUMMARY]}
EXECUTION_EXAMPLE: dict[str, Any] = {
    **_SUMMARY,
    "initial_state": {"user_input": "world"},
    "final_state": {"user_input": "world", "final_output": "Hello world!"},
    "issues": [],
    "warnings": [],
    "nodes": [
        {
            "node_id": "answer",
            "node_type": "aggregator",
            "status": "COMPLETED",
            "output": "Hello world!",
            "warnings": [],
            "attempts": [
                {
                    "attempt": 1,
                    "status": "COMPLETED",
                    "event_seq": 42,
                    "ignored": False,
                    "will_retry": False,
                    "output": "Hello world!",
                    "warnings": [],
                }
            ],
        }
    ],
    "events": [{"event": "execution.completed", "event_seq": 43, "occurred_at": _WHEN}],
}
JobId = Annotated[str, Path(description="the job's id, which is the execution's", examples=[ID])]
ExecutionPathId = Annotated[str, Path(description="the execution's id", examples=[ID])]
ACCEPTED: dict[str, Any] = {
    "Location": {"description": "Where its status is", "schema": {"type": "string"}},
    "Idempotent-Replayed": {
        "description": "`true` when the Idempotency-Key was used before",
        "schema": {"type": "string"},
    },
}
CANCELLING: Also = {202: (CancelView, "It is going to end", {})}
_TOLD = {
    400: "The workflow is invalid, or the request makes no sense; `errors` has every reason",
    401: "No API key, or none that is known",
    403: "The key's role lacks the permission",
    404: "Not there, or not yours",
    409: "It goes against what is already so",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "The request is malformed; `errors` has every reason",
    503: "Something the gateway needs does not answer; try again after `Retry-After` seconds",
}


@dataclass(frozen=True)
class Doc:
    """What a route answers. `model` None: the answer is no JSON."""

    summary: str
    tag: str
    model: Any
    problems: tuple[int, ...]
    status: int = 200
    example: Mapping[str, Any] | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    also: Also = field(default_factory=dict)


def document(
    doc: Doc,
    *,
    body: dict[str, Any] | None = None,
    stream: dict[str, Any] | None = None,
    idempotent: bool = False,
    public: bool = False,
) -> dict[str, Any]:
    """Arguments for `add_api_route`."""
    success = {"description": doc.summary, "content": stream or _content(doc.model, doc.example)}
    if doc.headers:
        success["headers"] = dict(doc.headers)
    responses: dict[int, Any] = {doc.status: success}
    for status, (model, text, headers) in doc.also.items():
        responses[status] = {"description": text, "content": _content(model, None)}
        if headers:
            responses[status]["headers"] = dict(headers)
    for status in sorted({*doc.problems, 500}):
        responses[status] = _problem(status)
    extra: dict[str, Any] = {"security": [] if public else [{"ApiKey": []}, {"Bearer": []}]}
    if body is not None:
        extra["requestBody"] = body
    if idempotent:
        extra["parameters"] = [_IDEMPOTENCY_KEY]
    return {
        "summary": doc.summary,
        "tags": [doc.tag],
        "status_code": doc.status,
        "response_class": Response,
        "response_model": None,
        "responses": responses,
        "openapi_extra": extra,
    }


def body_of(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The documentation of a JSON body."""
    return {"required": required, "content": _content(model, None)}


def event_stream() -> dict[str, Any]:
    """The documentation of server-sent events."""
    example = 'id: 43\nevent: execution.completed\ndata: {"execution_id": "exec_…"}\n\n'
    return plain("Server-sent events", example, "text/event-stream")


def plain(text: str, example: str, media_type: str = "text/plain") -> dict[str, Any]:
    """The documentation of an answer that is text."""
    schema = {"type": "string", "description": text}
    return {media_type: {"schema": schema, "example": example}}


def schema_name(model: Any) -> str:
    """What OpenAPI calls the model: no brackets."""
    name: str = model.__name__
    return name.replace("[", "_").replace("]", "_")


def _content(model: Any, example: Mapping[str, Any] | None) -> dict[str, Any]:
    shown = example or _own_example(model)
    content = {"schema": {"$ref": f"#/components/schemas/{schema_name(model)}"}}
    return {"application/json": content | ({"example": dict(shown)} if shown else {})}


def _own_example(model: Any) -> Mapping[str, Any] | None:
    extra = model.model_config.get("json_schema_extra")
    examples = extra.get("examples") if isinstance(extra, dict) else None
    return examples[0] if examples else None


def _problem(status: int) -> dict[str, Any]:
    text = _TOLD.get(status, "Something went wrong here")
    problem = plain_problem(status, text)
    example = problem.model_copy(update={"request_id": "5f0c1a…"}).model_dump(exclude_none=True)
    example["errors"] = list(example["errors"])
    answer: dict[str, Any] = {
        "description": text,
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": example,
            }
        },
    }
    if status == 503:
        answer["headers"] = {
            "Retry-After": {"description": "seconds", "schema": {"type": "integer"}}
        }
    return answer


_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body within 24 hours name the same execution; "
    "the same key with another body is 409.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "order-4711",
}
