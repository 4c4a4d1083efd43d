"""Every refusal leaves as `application/problem+json`, whoever noticed it first.

Our errors carry code and status; Starlette's and FastAPI's are translated; anything else
is a 500 with no word of its cause, which is in the log under the request's id.
"""

import http
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from agentflow.contracts.errors import AgentflowError, OutcomeUnknown
from agentflow.contracts.problem import Issue, Problem
from agentflow.gateway.errors import MalformedRequest, Unauthenticated

PROBLEM_JSON = "application/problem+json"
_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    500: "internal_error",
}
_MAX_ECHO = 200


def request_id_of(request: Request) -> str | None:
    """The id the edge gave this request."""
    found = request.scope.get("request_id")
    return found if isinstance(found, str) else None


def problem_response(
    problem: Problem, request_id: str | None, headers: Mapping[str, str] | None = None
) -> Response:
    """The response that tells `problem`."""
    told = problem.model_copy(update={"request_id": request_id})
    more = dict(headers or {})
    if told.retry_after is not None:
        more["Retry-After"] = str(max(1, round(told.retry_after)))
    return Response(
        told.model_dump_json(exclude_none=True).encode(),
        status_code=told.status,
        media_type=PROBLEM_JSON,
        headers=more,
    )


def problem_of(error: AgentflowError) -> Problem:
    """The problem an error of ours tells, with its execution and its patience."""
    problem: Problem = error.to_problem()
    found: dict[str, Any] = {}
    for name in ("execution_id", "retry_after"):
        value = getattr(error, name, None)
        if value is not None:
            found[name] = value
    if problem.status == 503 and "retry_after" not in found:
        found["retry_after"] = 1.0 if isinstance(error, OutcomeUnknown) else 2.0
    return problem.model_copy(update=found)


def plain_problem(status: int, detail: str) -> Problem:
    """A problem for a bare HTTP status."""
    try:
        title = http.HTTPStatus(status).phrase
    except ValueError:
        title = "Error"
    code = _CODES.get(status, title.lower().replace(" ", "_"))
    return Problem(title=title, status=status, code=code, detail=detail)


def internal_problem() -> Problem:
    """What a caller is told when something of ours broke."""
    return plain_problem(500, "Something went wrong here; it is in our log under this request_id.")


def issues_of(errors: Sequence[Any], prefix: str = "") -> tuple[Issue, ...]:
    """pydantic's errors as issues, with JSON pointers below `prefix`."""
    return tuple(
        Issue(
            code=str(error["type"]),
            message=str(error["msg"])[:_MAX_ECHO],
            pointer=prefix + "".join(f"/{_escape(part)}" for part in error["loc"]),
        )
        for error in errors
    )


def _escape(part: object) -> str:
    return str(part)[:_MAX_ECHO].replace("~", "~0").replace("/", "~1")


def add_problem_handlers(app: FastAPI) -> None:
    """Teach `app` to tell every error it meets as a problem."""
    app.add_exception_handler(AgentflowError, _on_ours)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)


async def _on_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, AgentflowError)  # noqa: S101 - Starlette types handlers widely
    headers = {}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="agentflow"'
    return problem_response(problem_of(error), request_id_of(request), headers)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette types handlers widely
    detail = error.detail
    path = request.url.path[:_MAX_ECHO]
    if error.status_code == 404:
        detail = f"Nothing is served at {path}; /docs lists what is."
    elif error.status_code == 405:
        detail = f"{request.method[:20]} is not possible at {path}."
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_allowed(request)))
    return problem_response(
        plain_problem(error.status_code, detail), request_id_of(request), headers
    )


def _allowed(request: Request) -> set[str]:
    """Every method of the path: Starlette names those of its first route only."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    issues = issues_of(error.errors())
    named = ", ".join(issue.pointer for issue in issues)
    refusal = MalformedRequest(f"These parameters cannot be used: {named}.", issues=issues)
    return problem_response(refusal.to_problem(), request_id_of(request))
