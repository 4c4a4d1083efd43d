"""Responses, made once: bytes in the shape the documentation promises."""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from agentflow.contracts.ids import is_token
from agentflow.contracts.status import ExecutionStatus
from agentflow.gateway.edge import API
from agentflow.gateway.executions import missing
from agentflow.gateway.views import JobView

_OPTIONS = orjson.OPT_NON_STR_KEYS


def model_response(
    model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`model` as JSON; fields without a value are left out."""
    body = model.__pydantic_serializer__.to_json(model, exclude_none=True)
    return Response(body, status, headers, media_type="application/json")


def json_response(
    value: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Plain JSON."""
    return Response(
        orjson.dumps(value, option=_OPTIONS), status, headers, media_type="application/json"
    )


def job_view(execution_id: str, status: ExecutionStatus, **more: Any) -> JobView:
    """The job of an execution, with the addresses to go on with."""
    return JobView(
        job_id=execution_id,
        execution_id=execution_id,
        status=status,
        status_url=job_url(execution_id),
        result_url=f"{job_url(execution_id)}/result",
        events_url=f"{API}/executions/{execution_id}/events",
        **more,
    )


def job_url(execution_id: str) -> str:
    """Where its status is."""
    return f"{API}/jobs/{execution_id}"


def checked_id(execution_id: str) -> str:
    """An id that can be one; raises NotFound for what cannot."""
    if not is_token(execution_id):
        raise missing(execution_id[:128])
    return execution_id
