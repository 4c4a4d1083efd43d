"""Executions: lists, details, cancelling."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from agentflow.contracts.status import ExecutionStatus
from agentflow.gateway.answers import checked_id, model_response
from agentflow.gateway.auth import requires
from agentflow.gateway.documentation import (
    CANCELLING,
    EXECUTION_EXAMPLE,
    PAGE_EXAMPLE,
    Doc,
    ExecutionPathId,
    body_of,
    document,
)
from agentflow.gateway.edge import API
from agentflow.gateway.errors import MalformedRequest
from agentflow.gateway.parts import gateway_of
from agentflow.gateway.permissions import Permission, Principal
from agentflow.gateway.problems import request_id_of
from agentflow.gateway.requests import CancelRequest, parse_request
from agentflow.gateway.routes.cancels import cancelled
from agentflow.gateway.traces import trace_headers
from agentflow.gateway.views import CancelView
from agentflow.storage.executions import ExecutionFilter
from agentflow.storage.views import ExecutionDetail, ExecutionSummary, Page

Reader = Annotated[Principal, Depends(requires(Permission.READ))]
Words = Annotated[
    list[str] | None, Query(max_length=20, description="all of these tags; repeat the parameter")
]
_STATUSES = (401, 403, 404, 422, 503)


def add_routes(app: FastAPI) -> None:
    """Serve /executions."""
    app.add_api_route(
        f"{API}/executions",
        listing,
        methods=["GET"],
        **document(
            Doc(
                "List executions",
                "executions",
                Page[ExecutionSummary],
                (400, 401, 403, 422, 503),
                example=PAGE_EXAMPLE,
            )
        ),
    )
    app.add_api_route(
        f"{API}/executions/{{execution_id}}",
        detail,
        methods=["GET"],
        **document(
            Doc(
                "One execution",
                "executions",
                ExecutionDetail,
                _STATUSES,
                example=EXECUTION_EXAMPLE,
            )
        ),
    )
    app.add_api_route(
        f"{API}/executions/{{execution_id}}/cancel",
        cancel,
        methods=["POST"],
        **document(
            Doc(
                "Cancel an execution",
                "executions",
                CancelView,
                (*_STATUSES, 409, 413, 415),
                also=CANCELLING,
            ),
            body=body_of(CancelRequest, required=False),
        ),
    )


async def listing(
    request: Request,
    caller: Reader,
    status: Annotated[
        list[ExecutionStatus] | None, Query(description="any of these; repeat the parameter")
    ] = None,
    created_from: Annotated[
        datetime | None, Query(alias="from", description="created at or after, RFC 3339")
    ] = None,
    created_to: Annotated[
        datetime | None, Query(alias="to", description="created before, RFC 3339")
    ] = None,
    tag: Words = None,
    metadata: Annotated[
        list[str] | None,
        Query(max_length=20, description="all of these `key:value`; repeat the parameter"),
    ] = None,
    text: Annotated[
        str | None,
        Query(max_length=200, description="found in name, id, tags, user input or error"),
    ] = None,
    workflow_id: Annotated[str | None, Query(max_length=128, description="of a stored one")] = None,
    workflow_name: Annotated[str | None, Query(max_length=200, description="exactly so")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="most items of the page")] = 50,
    cursor: Annotated[
        str | None, Query(max_length=512, description="`next_cursor` of the page before")
    ] = None,
    skip: Annotated[
        int, Query(ge=0, le=10_000, description="items to pass over; `cursor` is cheaper")
    ] = 0,
) -> Response:
    """Your executions as history has recorded them, newest first."""
    where = ExecutionFilter(
        statuses=tuple(status or ()),
        created_from=_in_utc(created_from, "from"),
        created_to=_in_utc(created_to, "to"),
        workflow_id=_no_nul(workflow_id, "workflow_id"),
        workflow_name=_no_nul(workflow_name, "workflow_name"),
        tags=tuple(_no_nul(word, "tag") or "" for word in tag or ()),
        metadata=_pairs(metadata or ()),
        text=_no_nul(text, "text"),
    )
    page = await gateway_of(request).record.page(
        caller.tenant, where, limit=limit, cursor=cursor, skip=skip
    )
    return model_response(page)


async def detail(request: Request, caller: Reader, execution_id: ExecutionPathId) -> Response:
    """States, figures and every attempt of every node. While history lags behind, the same
    is read from the event log."""
    found = await gateway_of(request).executions.detail(caller.tenant, checked_id(execution_id))
    return model_response(found)


async def cancel(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Permission.CANCEL))],
    execution_id: ExecutionPathId,
) -> Response:
    """Ends the execution: nothing new starts, running provider calls are closed."""
    gateway = gateway_of(request)
    reason = None
    if request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers:
        body, _ = await gateway.body.json(request)
        reason = parse_request(CancelRequest, body).reason
    view = await gateway.canceller.cancel(
        caller,
        checked_id(execution_id),
        reason=reason,
        request_id=request_id_of(request),
        trace=trace_headers(request),
    )
    return cancelled(view)


def _in_utc(moment: datetime | None, name: str) -> datetime | None:
    """A time without a zone is taken for UTC."""
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise MalformedRequest(f"The parameter {name!r} is outside the calendar.") from None


def _no_nul(text: str | None, name: str) -> str | None:
    if text is not None and "\x00" in text:
        raise MalformedRequest(f"The parameter {name!r} holds a NUL character.")
    return text


def _pairs(words: list[str] | tuple[()]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for word in words:
        key, colon, value = (_no_nul(word, "metadata") or "").partition(":")
        if not colon or not key:
            raise MalformedRequest(
                f"The parameter 'metadata' is {word[:50]!r}; it is written as key:value."
            )
        found[key] = value
    return found
