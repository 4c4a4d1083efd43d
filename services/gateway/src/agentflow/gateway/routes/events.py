"""The events of an execution as a stream."""

from typing import Annotated

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from agentflow.gateway.answers import checked_id
from agentflow.gateway.auth import requires
from agentflow.gateway.documentation import Doc, ExecutionPathId, document, event_stream
from agentflow.gateway.edge import API
from agentflow.gateway.event_stream import last_event_id
from agentflow.gateway.parts import gateway_of
from agentflow.gateway.permissions import Permission, Principal

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def add_routes(app: FastAPI) -> None:
    """Serve /executions/{id}/events."""
    app.add_api_route(
        f"{API}/executions/{{execution_id}}/events",
        events,
        methods=["GET"],
        **document(
            Doc("Events of an execution, live", "executions", None, (401, 403, 404, 422, 503)),
            stream=event_stream(),
        ),
    )


async def events(
    request: Request,
    caller: Annotated[Principal, Depends(requires(Permission.READ))],
    execution_id: ExecutionPathId,
) -> Response:
    """Server-sent events from the first one, then live, until the terminal one. `id` is the
    stream sequence: come back with `Last-Event-ID` and nothing is missed or repeated. 204
    when the terminal event was seen already. Comments keep an idle stream open."""
    after = last_event_id(request.headers.get("last-event-id"))
    streams = gateway_of(request).streams
    frames = await streams.frames(caller.tenant, checked_id(execution_id), after)
    if frames is None:
        return Response(status_code=204, headers=_HEADERS)
    return StreamingResponse(frames, media_type="text/event-stream", headers=_HEADERS)
