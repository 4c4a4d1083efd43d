"""The caller's trace goes on: through a span of ours when we trace, as it came when we do not."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from agentflow.telemetry.tracing import Tracing, inject

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@contextmanager
def request_span(scope: Scope) -> Iterator[None]:
    """A span around one request, child of the caller's; nothing while tracing is off.

    The lifespan's context is not the requests', so the tracing is found on the application.
    """
    tracing: Tracing | None = getattr(scope["app"].state, "tracing", None)
    if tracing is None or not tracing.enabled:
        yield
        return
    with tracing.span(f"HTTP {scope['method'][:10]}", dict(Headers(scope=scope))) as span:
        yield
        # Known only after routing: the pattern, never the path with its ids.
        span.update_name(
            f"{scope['method'][:10]} {getattr(scope.get('route'), 'path', '')}".strip()
        )


def trace_headers(request: Request) -> Mapping[str, str]:
    """What commands carry on."""
    own = inject()
    if own:
        return own
    parent = request.headers.get("traceparent", "")
    return {"traceparent": parent} if _TRACEPARENT.fullmatch(parent) else {}
