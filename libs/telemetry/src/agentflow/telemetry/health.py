"""Health over HTTP for services that serve no HTTP otherwise.

/health/live answers while the event loop turns; /health/ready runs the named checks, each
with a timeout; /metrics shows the registry. Whoever sends garbage, nothing, or slowly gets
an error or a closed connection, and nobody else waits for it.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from agentflow.telemetry.metrics import CONTENT_TYPE, render
from agentflow.telemetry.redaction import redact_text

Check = Callable[[], Awaitable[object]]
"""Passes by returning anything but False; fails by raising or returning False."""

CHECK_TIMEOUT = 2.0
REQUEST_TIMEOUT = 5.0
MAX_REQUEST_BYTES = 8 * 1024
MAX_CONNECTIONS = 64
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


@dataclass(frozen=True)
class CheckResult:
    """How one check went; `error` is our words, with secrets blanked."""

    ok: bool
    milliseconds: float
    error: str | None = None


async def run_checks(
    checks: Mapping[str, Check], timeout: float = CHECK_TIMEOUT
) -> dict[str, CheckResult]:
    """Run all checks at once, each for at most `timeout` seconds."""
    results = await asyncio.gather(*(_run(check, timeout) for check in checks.values()))
    return dict(zip(checks, results, strict=True))


async def _run(check: Check, timeout: float) -> CheckResult:
    started = time.perf_counter()
    error: str | None = None
    try:
        async with asyncio.timeout(timeout):
            if await check() is False:
                error = "not ready"
    except TimeoutError:
        error = f"no answer within {timeout:g} s"
    except Exception as failure:  # noqa: BLE001 - whatever a check raises means: not ready
        error = redact_text(f"{type(failure).__name__}: {failure}")[:500]
    return CheckResult(error is None, round((time.perf_counter() - started) * 1000, 2), error)


def report(results: Mapping[str, CheckResult]) -> tuple[bool, dict[str, Any]]:
    """Whether all passed, and the JSON body that says so."""
    ready = all(result.ok for result in results.values())
    body = {
        "status": "ready" if ready else "not_ready",
        "checks": {
            name: {"status": "ok", "ms": result.milliseconds}
            if result.ok
            else {"status": "failed", "ms": result.milliseconds, "error": result.error}
            for name, result in results.items()
        },
    }
    return ready, body


class HealthServer:
    """`await start()`, `await stop()`; `port` is the bound one (give 0 for any free port)."""

    def __init__(
        self,
        host: str,
        port: int,
        checks: Mapping[str, Check],
        registry: CollectorRegistry | None = None,
        *,
        check_timeout: float = CHECK_TIMEOUT,
        request_timeout: float = REQUEST_TIMEOUT,
    ) -> None:
        self.host = host
        self.port = port
        self._checks = checks
        self._registry = registry
        self._check_timeout = check_timeout
        self._request_timeout = request_timeout
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Bind and serve; raises OSError when the port is taken."""
        self._server = await asyncio.start_server(
            self._on_connection, self.host, self.port, limit=MAX_REQUEST_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and close what is open. Safe to repeat."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in list(self._open):
            task.cancel()
        if self._open:
            await asyncio.wait(list(self._open), timeout=1)
        await server.wait_closed()
        await asyncio.sleep(0)  # closing sockets takes the loop one more turn

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is None or len(self._open) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._open.add(task)
        try:
            async with asyncio.timeout(self._request_timeout + self._check_timeout):
                await self._serve(reader, writer)
        except (TimeoutError, ConnectionError, asyncio.CancelledError):
            pass  # slow, gone, or we are stopping: the connection closes below
        finally:
            self._open.discard(task)
            with contextlib.suppress(ConnectionError, RuntimeError):
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b""
        try:
            async with asyncio.timeout(self._request_timeout):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        except asyncio.LimitOverrunError:
            status, kind, body = _json(431, {"error": "the request head is too long"})
        else:
            status, kind, body = await self._answer(head)
        writer.write(_response(status, kind, body, head_only=head.startswith(b"HEAD ")))
        await writer.drain()

    async def _answer(self, head: bytes) -> tuple[int, str, bytes]:
        words = head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _json(400, {"error": "this is not an HTTP/1.1 request"})
        if words[0] not in (b"GET", b"HEAD"):
            return _json(405, {"error": "only GET and HEAD are served here"})
        match words[1].split(b"?", 1)[0]:
            case b"/health" | b"/health/live":
                return _json(200, {"status": "alive"})
            case b"/health/ready" | b"/ready":
                ready, body = report(await run_checks(self._checks, self._check_timeout))
                return _json(200 if ready else 503, body)
            case b"/metrics" if self._registry is not None:
                return 200, CONTENT_TYPE, render(self._registry)
            case _:
                paths = "/health/live, /health/ready and /metrics"
                return _json(404, {"error": f"served here: {paths}"})


def _json(status: int, body: Mapping[str, Any]) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(body).encode()


def _response(status: int, kind: str, body: bytes, head_only: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
        f"Content-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    ).encode("ascii")
    return head if head_only else head + body
