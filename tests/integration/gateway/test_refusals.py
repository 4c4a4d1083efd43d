"""Whatever comes in that cannot be used is told as a problem, and the next request is served."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway_stage import GatewayStage, gateway_stage, hello

pytestmark = [pytest.mark.nats, pytest.mark.asyncio(loop_scope="module")]

EXECUTE = "/api/v1/workflows/execute"
JSON = {"Content-Type": "application/json"}
PROBLEM = "application/problem+json"

BEFORE_TIME = "WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzIzOjU5IiwieCJd"
"""A well-formed cursor whose time is before the calendar's first day in UTC."""

BAD_BODIES = {
    "empty": (b"", "malformed_request", "empty"),
    "blank": (b"  \n ", "malformed_request", "empty"),
    "cut off": (b'{"workflow": {', "malformed_json", "line 1"),
    "no json": (b"\nhello", "malformed_json", "line 2, column 1"),
    "NaN": (b'{"initial_state": {"x": NaN}}', "malformed_json", "NaN"),
    "Infinity": (b'{"initial_state": {"x": -Infinity}}', "malformed_json", "-Infinity"),
    "huge float": (b'{"initial_state": {"x": 1e999}}', "malformed_json", "out of range"),
    "huge integer": (b'{"initial_state": {"x": 1%s}}' % (b"0" * 5000), "malformed_json", "64 bits"),
    "NUL": (b'{"initial_state": {"x": "a\\u0000b"}}', "malformed_json", "/initial_state/x"),
    "lone surrogate": (b'{"initial_state": {"x": "\\ud800"}}', "malformed_json", "surrogate"),
    "duplicate key": (b'{"tags": [], "tags": []}', "malformed_json", "'tags' appears twice"),
    "deep": (b"[" * 100_000 + b"]" * 100_000, "malformed_json", "levels"),
    "deep in objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "malformed_json", "levels"),
    "not UTF-8": (b'{"workflow": "\xff\xfe"}', "malformed_json", "UTF-8 at byte"),
    "array": (b"[]", "malformed_request", "array"),
    "null": (b"null", "malformed_request", "null"),
    "number": (b"7", "malformed_request", "number"),
    "no workflow": (b"{}", "malformed_request", "names no workflow"),
    "two workflows": (
        b'{"workflow": {}, "workflow_id": "wf_1"}',
        "malformed_request",
        "names two workflows",
    ),
    "version alone": (b'{"workflow": {}, "version": 1}', "malformed_request", "stored"),
    "wrong types": (b'{"workflow": [], "tags": "a", "wait": "x"}', "malformed_request", "3 of"),
    "bool as number": (b'{"workflow": {}, "wait": true}', "malformed_request", "1 of"),
}


@pytest.fixture
def on(shared: GatewayStage) -> GatewayStage:
    return shared


async def _is_served(on: GatewayStage) -> None:
    assert (await on.execute()).json()["status"] == "success"


async def test_every_bad_body_is_told_and_the_next_request_is_served(on: GatewayStage) -> None:
    before = len(on.fleet.executed)
    for name, (body, code, words) in BAD_BODIES.items():
        answer = await on.client.post(EXECUTE, content=body, headers=JSON)
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, code), name
        assert words in problem["detail"], name
        assert answer.headers["content-type"] == PROBLEM, name
        assert problem["request_id"] == answer.headers["x-request-id"], name
        await _is_served(on)
    assert len(on.fleet.executed) - before == len(BAD_BODIES)


async def test_all_that_is_wrong_with_a_body_is_told_at_once(on: GatewayStage) -> None:
    body = {"workflow": 1, "inital_state": {}, "tags": [1], "timeout_seconds": -1}
    problem = (await on.client.post(EXECUTE, json=body)).json()
    by_pointer = {error["pointer"]: error for error in problem["errors"]}
    assert set(by_pointer) == {"/workflow", "/inital_state", "/tags/0", "/timeout_seconds"}
    assert by_pointer["/inital_state"]["code"] == "unknown_key"
    assert "initial_state" in by_pointer["/inital_state"]["hint"]


async def test_a_spec_sent_as_the_whole_body_gets_a_hint(on: GatewayStage) -> None:
    problem = (await on.client.post(EXECUTE, json=hello())).json()
    assert '{"workflow": …' in problem["detail"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ("application/vnd.api+json", 200),
        (None, 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/json; charset=utf-16", 415),
    ],
)
async def test_only_json_is_taken(on: GatewayStage, content_type: str | None, status: int) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    body = json.dumps({"workflow": hello()}).encode()
    answer = await on.client.post(EXECUTE, content=body, headers=headers)
    assert answer.status_code == status
    if status == 415:
        assert answer.json()["code"] == "unsupported_media_type"


async def test_a_body_of_ten_megabytes_gets_its_413_and_the_connection_lives(
    on: GatewayStage,
) -> None:
    body = b'{"workflow": "' + b"x" * 10_000_000 + b'"}'
    for _ in range(3):
        answer = await on.client.post(EXECUTE, content=body, headers=JSON)
        assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
        assert "8,388,608" in answer.json()["detail"]
        assert "connection" not in answer.headers
    await _is_served(on)


async def test_a_large_body_of_unknown_length_is_refused_too(on: GatewayStage) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100_000

    answer = await on.client.post(EXECUTE, content=chunks(), headers=JSON)
    assert answer.status_code == 413
    await _is_served(on)


@pytest.mark.parametrize("key", [None, "af_0.wrong"])
async def test_a_stranger_with_a_large_body_reads_his_401(
    on: GatewayStage, key: str | None
) -> None:
    headers = {"X-API-Key": key} if key else {}
    async with httpx.AsyncClient(base_url=on.url, trust_env=False) as stranger:
        answer = await stranger.post(EXECUTE, content=b"x" * 5_000_000, headers=headers)
        assert answer.status_code == 401


async def test_a_client_that_closes_after_sending_reads_its_413(on: GatewayStage) -> None:
    """`Connection: close`, as urllib sends it: closing early would lose the answer."""
    size = 10_000_000
    key = on.keys["developer"].encode()
    head = (
        b"POST /workflows/execute HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nX-API-Key: %s\r\nContent-Length: %d\r\n\r\n"
    ) % (key, size)
    answer = await _raw(on, head + b"x" * size)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"payload_too_large" in answer


async def test_who_asks_before_sending_too_much_is_told_not_to(on: GatewayStage) -> None:
    """`Expect: 100-continue`, as curl sends it: the answer comes before the body."""
    key = on.keys["developer"].encode()
    head = (
        b"POST /workflows/execute HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Content-Type: application/json\r\nX-API-Key: %s\r\nContent-Length: 10000000\r\n\r\n"
    ) % key
    answer = await _raw(on, head)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.asyncio(loop_scope="function")
async def test_a_body_without_end_is_refused_and_cut_off(nats_url: str, tmp_path: Path) -> None:
    limits: dict[str, Any] = {"max_body_bytes": 10_000, "max_drain_bytes": 100_000}
    async with gateway_stage(nats_url, tmp_path, **limits) as on:
        key = on.keys["developer"].encode()
        head = (
            b"POST /workflows/execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"X-API-Key: %s\r\nTransfer-Encoding: chunked\r\n\r\n"
        ) % key
        chunk = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
        answer = await _raw(on, head + chunk * 30)
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer.lower()
        await _is_served(on)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_body_that_stops_arriving_is_given_up(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path, body_timeout_seconds=0.2) as on:
        key = on.keys["developer"].encode()
        head = (
            b"POST /workflows/execute HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"X-API-Key: %s\r\nContent-Length: 100\r\n\r\n{"
        ) % key
        reader, writer = await asyncio.open_connection(*_address(on))
        writer.write(head)
        assert (await reader.readline()).startswith(b"HTTP/1.1 422 ")
        writer.close()
        await _is_served(on)


async def test_what_is_no_http_gets_a_problem(on: GatewayStage) -> None:
    answer = await _raw(on, b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert PROBLEM.encode() in answer
    await _is_served(on)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/api/v1/nowhere", 404, "not_found"),
        ("GET", "/api/v1", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/api/v2/health", 404, "not_found"),
        ("PUT", "/api/v1/health", 405, "method_not_allowed"),
        ("GET", EXECUTE, 405, "method_not_allowed"),
        ("POST", "/api/v1/workflows/execute/", 404, "not_found"),
        ("GET", "/jobs/no.such", 404, "not_found"),
        ("GET", "/jobs/%00", 404, "not_found"),
        ("GET", "/jobs/exec_%F0%28%8C%28", 404, "not_found"),
        ("GET", "/jobs/" + "x" * 5000, 404, "not_found"),
        ("GET", "/executions/exec_unknown", 404, "not_found"),
        ("GET", "/executions/exec_unknown/events", 404, "not_found"),
        ("POST", "/executions/exec_unknown/cancel", 404, "not_found"),
        ("DELETE", "/jobs/exec_unknown", 404, "not_found"),
        ("GET", "/executions?limit=0", 422, "malformed_request"),
        ("GET", "/executions?limit=many", 422, "malformed_request"),
        ("GET", "/executions?status=DONE", 422, "malformed_request"),
        ("GET", "/executions?from=yesterday", 422, "malformed_request"),
        ("GET", "/executions?from=0001-01-01T00:00:00%2B14:00", 422, "malformed_request"),
        ("GET", "/executions?text=a%00b", 422, "malformed_request"),
        ("GET", "/executions?metadata=nocolon", 422, "malformed_request"),
        ("GET", "/executions?cursor=rubbish", 400, "bad_cursor"),
        ("GET", f"/executions?cursor={BEFORE_TIME}", 400, "bad_cursor"),
        ("POST", EXECUTE + "?wait=nan", 422, "malformed_request"),
        ("POST", EXECUTE + "?wait=301", 422, "malformed_request"),
    ],
)
async def test_every_wrong_request_is_a_problem(
    on: GatewayStage, method: str, path: str, status: int, code: str
) -> None:
    answer = await on.client.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["status"] == status
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    if status == 405:
        assert answer.headers["allow"]


async def test_a_405_names_every_method_of_the_path(on: GatewayStage) -> None:
    answer = await on.client.put("/jobs/exec_1")
    assert answer.headers["allow"] == "DELETE, GET"


async def test_an_insane_request_id_is_replaced(on: GatewayStage) -> None:
    for given in ("x" * 200, "a b", "<script>", ""):
        answer = await on.client.get("/health", headers={"X-Request-ID": given})
        assert answer.headers["x-request-id"] != given
    kept = await on.client.get("/health", headers={"X-Request-ID": "kept.1-2_3:4"})
    assert kept.headers["x-request-id"] == "kept.1-2_3:4"


async def test_a_bug_of_ours_is_a_500_without_its_cause(
    on: GatewayStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(on.gateway.executions, "summary", broken)
    answer = await on.client.get("/jobs/exec_1")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    await _is_served(on)


def _address(on: GatewayStage) -> tuple[str, int]:
    url = httpx.URL(on.url)
    return url.host, url.port or 80


async def _raw(on: GatewayStage, data: bytes) -> bytes:
    """Send bytes, then read until the server closes or falls silent."""
    reader, writer = await asyncio.open_connection(*_address(on))
    writer.write(data)
    await writer.drain()
    found = b""
    try:
        async with asyncio.timeout(5):
            while b"\r\n\r\n" not in found or not found.rstrip().endswith(b"}"):
                chunk = await reader.read(65536)
                if not chunk:
                    break
                found += chunk
    finally:
        writer.close()
    return found
