"""Jobs: executions as clients of other systems know them. The job's id is the execution's."""

from typing import Annotated

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response

from agentflow.gateway.answers import checked_id, job_view, model_response
from agentflow.gateway.auth import requires
from agentflow.gateway.documentation import CANCELLING, Doc, JobId, document
from agentflow.gateway.edge import API
from agentflow.gateway.parts import gateway_of
from agentflow.gateway.permissions import Permission, Principal
from agentflow.gateway.problems import request_id_of
from agentflow.gateway.routes.cancels import cancelled
from agentflow.gateway.traces import trace_headers
from agentflow.gateway.views import CancelView, ExecutionOutcome, JobView

Reader = Annotated[Principal, Depends(requires(Permission.READ))]
_STATUSES = (401, 403, 404, 422, 503)


def add_routes(app: FastAPI) -> None:
    """Serve /jobs."""
    app.add_api_route(
        f"{API}/jobs/{{job_id}}",
        status,
        methods=["GET"],
        **document(Doc("Status of a job", "jobs", JobView, _STATUSES)),
    )
    app.add_api_route(
        f"{API}/jobs/{{job_id}}/result",
        result,
        methods=["GET"],
        **document(Doc("Result of a job", "jobs", ExecutionOutcome, (*_STATUSES, 409))),
    )
    app.add_api_route(
        f"{API}/jobs/{{job_id}}",
        cancel,
        methods=["DELETE"],
        **document(Doc("Cancel a job", "jobs", CancelView, (*_STATUSES, 409), also=CANCELLING)),
    )


async def status(request: Request, caller: Reader, job_id: JobId) -> Response:
    """Whether it waits, runs or has ended, and why when it failed."""
    found = await gateway_of(request).executions.summary(caller.tenant, checked_id(job_id))
    view = job_view(
        job_id,
        found.status,
        created_at=found.created_at,
        started_at=found.started_at,
        ended_at=found.ended_at,
        error=found.error,
    )
    return model_response(view)


async def result(request: Request, caller: Reader, job_id: JobId) -> Response:
    """The final state of a job that has ended; 409 while it has not."""
    outcome = await gateway_of(request).executions.outcome(caller.tenant, checked_id(job_id))
    return model_response(outcome)


async def cancel(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Permission.CANCEL))],
    job_id: JobId,
) -> Response:
    """Ends the execution: nothing new starts, running provider calls are closed."""
    view = await gateway_of(request).canceller.cancel(
        caller,
        checked_id(job_id),
        reason=None,
        request_id=request_id_of(request),
        trace=trace_headers(request),
    )
    return cancelled(view)
