"""The outermost layer of the gateway: one pure ASGI pass around every request.

Each request gets an id and each response carries it; a path without /api/v1 gets the
prefix; what nobody caught becomes a 500 problem; time and status are counted. Nothing is
buffered, so streams stream.
"""

import re
import time
import uuid

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentflow.gateway.drain import Body
from agentflow.gateway.measures import Measures
from agentflow.gateway.problems import internal_problem, problem_response
from agentflow.gateway.traces import request_span

API = "/api/v1"
REQUEST_ID = b"x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class Edge:
    """Wraps the application; see the law above."""

    def __init__(self, app: ASGIApp, measures: Measures, drain_limit: int) -> None:
        self._app = app
        self._measures = measures
        self._drain_limit = drain_limit
        self._log = structlog.get_logger("agentflow.gateway")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        add_prefix(scope)
        body = Body(scope, receive, self._drain_limit)
        answer = _Answer(send, request_id, body)
        started = time.perf_counter()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            with request_span(scope):
                await self._app(scope, body, answer)
        except Exception:
            self._log.exception("gateway.unhandled", path=scope["path"])
            if answer.status:
                raise  # half a response is out: only a cut connection tells the truth now
            await problem_response(internal_problem(), request_id)(scope, body, answer)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            seconds = time.perf_counter() - started
            self._measures.request(scope["method"], route, answer.status, seconds)


class _Answer:
    """`send` that adds our headers and remembers the status."""

    __slots__ = ("_body", "_request_id", "_send", "status")

    def __init__(self, send: Send, request_id: str, body: Body) -> None:
        self._send = send
        self._body = body
        self._request_id = request_id.encode("ascii")
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            close = [] if await self._body.drain() else [(b"connection", b"close")]
            message["headers"] = [
                *message.get("headers", ()),
                (REQUEST_ID, self._request_id),
                *_SECURITY_HEADERS,
                *close,
            ]
        await self._send(message)


def add_prefix(scope: Scope) -> None:
    """Existing clients use the paths without /api/v1; routes are written once, with it."""
    path = scope["path"]
    if path != API and not path.startswith(API + "/"):
        scope["path"] = API + path
        scope["raw_path"] = API.encode() + scope.get("raw_path", path.encode())


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == REQUEST_ID and _SANE.fullmatch(value):
            sane: str = value.decode("ascii")
            return sane
    return uuid.uuid4().hex
