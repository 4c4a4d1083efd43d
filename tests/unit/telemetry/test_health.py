"""The health server: right answers to good requests, short work with bad ones."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentflow.telemetry.health import MAX_CONNECTIONS, HealthServer
from agentflow.telemetry.metrics import Metrics, make_registry
from tests.support.waiting import eventually

GET = "GET {} HTTP/1.1\r\nHost: x\r\n\r\n"


async def passes() -> None:
    return None


async def fails() -> None:
    raise ConnectionError("postgresql://u:hunter2secret@db/x refused")


async def says_no() -> bool:
    return False


async def hangs() -> None:
    await asyncio.sleep(3600)


@pytest.fixture
async def server() -> AsyncIterator[HealthServer]:
    metrics = Metrics("executor", make_registry(process=False))
    running = HealthServer(
        "127.0.0.1",
        0,
        {"nats": passes},
        metrics.registry,
        check_timeout=0.2,
        request_timeout=0.5,
    )
    await running.start()
    yield running
    await running.stop()


async def send(server: HealthServer, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body; status 0 when the connection was closed without an answer."""
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(raw)
        answer = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        answer = b""
    finally:
        writer.close()
    if not answer:
        return 0, {}, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in rest), body


async def get(server: HealthServer, path: str) -> tuple[int, Any]:
    status, headers, body = await send(server, GET.format(path).encode())
    assert int(headers["Content-Length"]) == len(body)
    return status, json.loads(body) if headers["Content-Type"] == "application/json" else body


async def test_live_ready_and_metrics(server: HealthServer) -> None:
    assert await get(server, "/health/live") == (200, {"status": "alive"})
    assert await get(server, "/health") == (200, {"status": "alive"})
    status, body = await get(server, "/health/ready?verbose=1")
    assert (status, body["status"], body["checks"]["nats"]["status"]) == (200, "ready", "ok")
    status, text = await get(server, "/metrics")
    assert status == 200
    assert b'agentflow_service_up{service="executor"} 1.0' in text
    assert (await get(server, "/nothing"))[0] == 404


async def test_each_failing_check_is_named_with_its_reason_and_no_secret() -> None:
    checks = {"nats": passes, "sql": fails, "redis": says_no, "slow": hangs}
    server = HealthServer("127.0.0.1", 0, checks, check_timeout=0.1)
    await server.start()
    try:
        status, body = await get(server, "/ready")
        assert status == 503
        assert body["status"] == "not_ready"
        assert body["checks"]["nats"]["status"] == "ok"
        assert "ConnectionError" in body["checks"]["sql"]["error"]
        assert "hunter2secret" not in json.dumps(body)
        assert body["checks"]["redis"]["error"] == "not ready"
        assert body["checks"]["slow"]["error"] == "no answer within 0.1 s"
        assert await get(server, "/health/live") == (200, {"status": "alive"})
        assert (await get(server, "/metrics"))[0] == 404
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"garbage\r\n\r\n", 400),
        (b"\x00\xff\x16\x03\x01 \x80 \x81\r\n\r\n", 400),
        (b"GET /health/live SIP/2.0\r\n\r\n", 400),
        (b"POST /health/live HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"GET " + b"/" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", 431),
        (b"GET http://evil/health HTTP/1.1\r\n\r\n", 404),
    ],
)
async def test_garbage_gets_an_error_and_the_next_request_is_served(
    server: HealthServer, raw: bytes, status: int
) -> None:
    got, _, _ = await send(server, raw)
    assert got in (status, 0) if status == 431 else got == status
    assert await get(server, "/health/live") == (200, {"status": "alive"})


async def test_head_has_headers_only(server: HealthServer) -> None:
    status, headers, body = await send(server, b"HEAD /health/live HTTP/1.1\r\n\r\n")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 0


async def test_a_client_that_says_nothing_is_let_go_and_nobody_waits_for_it(
    server: HealthServer,
) -> None:
    silent = [await asyncio.open_connection(server.host, server.port) for _ in range(10)]
    for _, writer in silent:
        writer.write(b"GET /health")
    assert await get(server, "/health/live") == (200, {"status": "alive"})
    for reader, writer in silent:
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_client_that_leaves_half_way_is_nothing_special(server: HealthServer) -> None:
    for part in (b"", b"GET", b"GET /metrics HTTP/1.1\r\n\r\n"):
        _, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(part)
        writer.transport.abort()
    assert await get(server, "/health/live") == (200, {"status": "alive"})


async def test_more_connections_than_allowed_are_closed_and_room_comes_back(
    server: HealthServer,
) -> None:
    crowd = [
        await asyncio.open_connection(server.host, server.port) for _ in range(MAX_CONNECTIONS)
    ]
    await eventually(lambda: len(server._open) == MAX_CONNECTIONS)
    assert (await send(server, GET.format("/health/live").encode()))[0] == 0
    for _, writer in crowd:
        writer.close()
    await eventually(lambda: not server._open)
    assert await get(server, "/health/live") == (200, {"status": "alive"})


async def test_stop_closes_open_connections_and_may_be_repeated(server: HealthServer) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    await eventually(lambda: server._open)
    await server.stop()
    await server.stop()
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    with pytest.raises(OSError):
        await asyncio.open_connection(server.host, server.port)


async def test_a_taken_port_is_an_error_at_start(server: HealthServer) -> None:
    second = HealthServer(server.host, server.port, {})
    with pytest.raises(OSError):
        await second.start()
    await second.stop()
    assert server.url == f"http://127.0.0.1:{server.port}"
