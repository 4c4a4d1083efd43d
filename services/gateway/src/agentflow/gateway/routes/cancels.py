"""The answer to a cancel: 200 when it has ended, 202 while it is ending."""

from starlette.responses import Response

from agentflow.contracts.status import ExecutionStatus
from agentflow.gateway.answers import job_url, model_response
from agentflow.gateway.views import CancelView


def cancelled(view: CancelView) -> Response:
    """The response that tells `view`."""
    if view.status is ExecutionStatus.CANCELLED:
        return model_response(view)
    return model_response(view, 202, {"Location": job_url(view.execution_id)})
