"""Validate and execute workflows."""

from functools import partial
from typing import Annotated

from fastapi import Depends, FastAPI, Query
from starlette.requests import Request
from starlette.responses import Response

from agentflow.contracts.errors import InvalidSpec
from agentflow.contracts.events import ExecutionEnded, ExecutionFailed
from agentflow.contracts.status import ExecutionStatus
from agentflow.gateway.answers import job_url, job_view, model_response
from agentflow.gateway.auth import requires
from agentflow.gateway.documentation import ACCEPTED, Doc, body_of, document
from agentflow.gateway.edge import API
from agentflow.gateway.fold import outcome_of
from agentflow.gateway.parts import Gateway, gateway_of
from agentflow.gateway.permissions import Permission, Principal
from agentflow.gateway.problems import problem_of, problem_response, request_id_of
from agentflow.gateway.requests import ExecuteRequest, ValidateRequest, parse_execute
from agentflow.gateway.submit import Asked, Submitted
from agentflow.gateway.traces import trace_headers
from agentflow.gateway.validation import check_workflow
from agentflow.gateway.views import ExecutionOutcome, JobView, ValidationView

Executor = Annotated[Principal, Depends(requires(Permission.EXECUTE))]
_REPLAYED = {"Idempotent-Replayed": "true"}


def add_routes(app: FastAPI) -> None:
    """Serve /workflows."""
    app.add_api_route(
        f"{API}/workflows/validate",
        validate,
        methods=["POST"],
        **document(
            Doc("Check a workflow", "workflows", ValidationView, (401, 403, 413, 415, 422, 503)),
            body=body_of(ValidateRequest),
        ),
    )
    app.add_api_route(
        f"{API}/workflows/execute",
        execute,
        methods=["POST"],
        **document(
            Doc(
                "Run a workflow and wait for its end",
                "workflows",
                ExecutionOutcome,
                (400, 401, 403, 404, 409, 413, 415, 422, 503),
                also={202: (JobView, "Not over yet: look at `Location`", ACCEPTED)},
            ),
            body=body_of(ExecuteRequest),
            idempotent=True,
        ),
    )
    app.add_api_route(
        f"{API}/workflows/execute/async",
        execute_async,
        methods=["POST"],
        **document(
            Doc(
                "Run a workflow in the background",
                "workflows",
                JobView,
                (400, 401, 403, 404, 409, 413, 415, 422, 503),
                status=202,
                headers=ACCEPTED,
            ),
            body=body_of(ExecuteRequest),
            idempotent=True,
        ),
    )


async def validate(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Permission.VALIDATE))],
    plan: Annotated[bool, Query(description="add the plan: stages, critical path")] = False,
    node: Annotated[str | None, Query(max_length=100, description="check this node alone")] = None,
) -> Response:
    """Every error and warning of a workflow at once. The body is the workflow, or an object
    with the workflow under `workflow`. The answer is 200 whether it is valid or not."""
    gateway = gateway_of(request)
    body, text = await gateway.body.json(request)
    report = await check_workflow(
        gateway.validation,
        caller.tenant,
        body,
        text,
        gateway.settings.validate_timeout_seconds,
        plan=plan,
        node=node,
    )
    view = ValidationView(
        valid=report.valid, errors=report.errors, warnings=report.warnings, plan=report.plan
    )
    return model_response(view)


async def execute(
    request: Request,
    caller: Executor,
    wait: Annotated[
        float | None,
        Query(ge=0, le=300, description="seconds to wait before 202; default 30"),
    ] = None,
) -> Response:
    """Runs an inline or stored workflow and answers with its final state. When it is not over
    after `wait` seconds the answer is 202 and the execution goes on. A workflow that ran and
    failed is 200 with `status: error`; one that is invalid is 400 and did not run."""
    gateway = gateway_of(request)
    asked = await _asked(gateway, request, caller)
    seconds = _first(wait, asked.request.wait, gateway.settings.default_wait_seconds)
    submitted = await gateway.submitter.submit_and_wait(asked, seconds)
    if submitted.end is None:
        return _accepted(submitted, ExecutionStatus.RUNNING)
    return await _ended(gateway, request, caller, submitted, submitted.end)


async def execute_async(request: Request, caller: Executor) -> Response:
    """Stores the execution and answers at once. Ask `Location` for its status."""
    gateway = gateway_of(request)
    asked = await _asked(gateway, request, caller)
    return _accepted(await gateway.submitter.submit(asked), ExecutionStatus.PENDING)


async def _asked(gateway: Gateway, request: Request, caller: Principal) -> Asked:
    body, text = await gateway.body.json(request)
    return Asked(
        principal=caller,
        request=parse_execute(body),
        body=body,
        text=text,
        request_id=request_id_of(request),
        idempotency_key=request.headers.get("idempotency-key"),
        trace=trace_headers(request),
        client_left=partial(_client_left, request),
    )


async def _client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


async def _ended(
    gateway: Gateway,
    request: Request,
    caller: Principal,
    submitted: Submitted,
    end: ExecutionEnded,
) -> Response:
    headers = _REPLAYED if submitted.replayed else {}
    if isinstance(end, ExecutionFailed) and end.issues:
        # The validator was silent and the executor found the workflow invalid: the same answer.
        refusal = InvalidSpec("The workflow is invalid; nothing was run.", issues=end.issues)
        problem = problem_of(refusal).model_copy(update={"execution_id": end.execution_id})
        return problem_response(problem, request_id_of(request), headers)
    state = await gateway.values.resolve(end.final_state, caller.tenant)
    return model_response(outcome_of(end, state), headers=headers)


def _accepted(submitted: Submitted, status: ExecutionStatus) -> Response:
    headers = {"Location": job_url(submitted.execution_id)}
    if submitted.replayed:
        headers |= _REPLAYED
    return model_response(job_view(submitted.execution_id, status), 202, headers)


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)
