"""What callers may send, checked before anything is done with it.

A body that cannot be used is told every reason at once, with a hint for the usual slips.
"""

from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from agentflow.contracts.ids import ID_PATTERN
from agentflow.contracts.problem import Issue
from agentflow.gateway.errors import MalformedRequest
from agentflow.gateway.problems import issues_of

_EXAMPLE_WORKFLOW: JsonDict = {
    "name": "hello",
    "start_node": "input",
    "nodes": [
        {"id": "input", "type": "input"},
        {
            "id": "answer",
            "type": "aggregator",
            "metadata": {"strategy": "template", "template": "Hello {user_input}!"},
        },
    ],
    "edges": [{"from": "input", "to": "answer"}],
}


class RequestModel(BaseModel):
    """Base of request bodies: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ExecuteRequest(RequestModel):
    """Run a workflow: inline (`workflow`) or stored (`workflow_id`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "workflow": _EXAMPLE_WORKFLOW,
                    "initial_state": {"user_input": "world"},
                    "tags": ["docs"],
                }
            ]
        }
    )

    workflow: dict[str, Any] | None = Field(default=None, description="the WorkflowSpec itself")
    workflow_id: str | None = Field(
        default=None, pattern=ID_PATTERN, description="a stored workflow, instead of `workflow`"
    )
    version: int | None = Field(
        default=None, ge=1, description="version of the stored workflow; the latest if absent"
    )
    initial_state: dict[str, Any] = Field(
        default_factory=dict, description="any JSON object; `user_input` is the usual key"
    )
    timeout_seconds: float | None = Field(
        default=None, gt=0, le=30 * 86400, description="the execution's deadline, seconds from now"
    )
    wait: float | None = Field(
        default=None, ge=0, le=300, description="seconds to wait for the end before 202"
    )
    tags: list[str] = Field(default_factory=list, max_length=50, description="for finding it again")
    metadata: dict[str, Any] = Field(default_factory=dict, description="yours; kept as it is")


class ValidateRequest(RequestModel):
    """Check a workflow without running it. The spec itself may also be the whole body."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"workflow": _EXAMPLE_WORKFLOW}]})

    workflow: dict[str, Any] = Field(description="the WorkflowSpec")


class CancelRequest(RequestModel):
    """Why an execution is cancelled."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "No longer needed"}]})

    reason: str | None = Field(default=None, max_length=1000, description="kept in the record")


Model = TypeVar("Model", bound=RequestModel)


def parse_request(model: type[Model], body: Any) -> Model:
    """`body` as `model`; raises MalformedRequest with every reason."""
    if not isinstance(body, dict):
        raise MalformedRequest(f"The body is a JSON {_kind(body)}; an object is expected.")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        issues = issues_of(error.errors(include_url=False, include_input=False))
        issues = tuple(_with_hint(issue, model) for issue in issues)
        hint = _spec_hint(body)
        raise MalformedRequest(
            f"The body cannot be used: {len(issues)} of its parts are wrong.",
            issues=issues,
            hint=hint,
        ) from None


def parse_execute(body: Any) -> ExecuteRequest:
    """An execute request that names exactly one workflow; raises MalformedRequest."""
    request = parse_request(ExecuteRequest, body)
    if (request.workflow is None) == (request.workflow_id is None):
        both = request.workflow is not None
        raise MalformedRequest(
            "The body names two workflows." if both else "The body names no workflow.",
            issues=[
                Issue(
                    code="workflow_choice",
                    message="Give either `workflow` (inline) or `workflow_id` (stored).",
                    pointer="/workflow" if both else "",
                )
            ],
        )
    if request.version is not None and request.workflow_id is None:
        raise MalformedRequest(
            "`version` belongs to a stored workflow.",
            issues=[
                Issue(
                    code="workflow_choice",
                    message="`version` needs `workflow_id`.",
                    pointer="/version",
                )
            ],
        )
    return request


def _with_hint(issue: Issue, model: type[RequestModel]) -> Issue:
    if issue.code != "extra_forbidden":
        return issue
    key = issue.pointer.removeprefix("/")
    close = get_close_matches(key, model.model_fields, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(model.model_fields)}."
    return issue.model_copy(
        update={"code": "unknown_key", "message": f"Unknown key {key!r}.", "hint": hint}
    )


def _spec_hint(body: dict[str, Any]) -> str | None:
    if "nodes" in body and "workflow" not in body:
        return 'This looks like a workflow itself: send {"workflow": …, "initial_state": {…}}.'
    return None


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "boolean", str: "string", list: "array", int: "number", float: "number"}
    return kinds.get(type(value), "value")
