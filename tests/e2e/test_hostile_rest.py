"""Bad input on REST: a problem that says what is wrong, at once, on a connection that stays
open; and the next good request on that very connection is served.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio

from agentflow.cli.embedded.stack import Stack
from tests.support.hostile import WORKFLOW, no_object, not_json, poisoned
from tests.support.kept_connection import Answer, KeptConnection
from tests.support.stacks import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
API = "/api/v1"
GOOD: dict[str, Any] = {"workflow": WORKFLOW, "initial_state": {"user_input": "you"}}
PATHS = ("/workflows/execute", "/workflows/execute/async", "/workflows/validate")
TEN_MEGABYTES = 10 * 1024 * 1024
UNREADABLE = {**not_json(), **no_object(), **poisoned(GOOD)}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("hostile")
    async with running_stack(directory, split=False) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def kept(stack: Stack) -> AsyncIterator[KeptConnection]:
    connection = KeptConnection(stack.addresses.gateway_url, stack.addresses.api_key)
    yield connection
    connection.close()


async def good_is_served(kept: KeptConnection) -> None:
    answer = await kept.post(f"{API}/workflows/execute", json.dumps(GOOD).encode())
    assert answer.status == 200, answer.data
    assert answer.json()["final_state"]["final_output"]["result"] == "Hello you!"


def is_problem(answer: Answer, *statuses: int) -> dict[str, Any]:
    """The answer is a problem in our words, with one of the statuses."""
    assert answer.status in statuses, (answer.status, answer.data[:500])
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.headers["x-request-id"]
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status
    assert problem["code"]
    assert len(problem["detail"]) > 10
    assert len(answer.data) < 20_000
    assert b"Traceback" not in answer.data
    return problem


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_body_nobody_can_read_is_a_problem_and_the_connection_stays(
    kept: KeptConnection, path: str, name: str
) -> None:
    answer = await kept.post(f"{API}{path}", UNREADABLE[name])
    if path.endswith("validate") and answer.status == 200:
        # JSON that is no workflow is what /validate is asked about.
        assert name in no_object()
        assert answer.json()["valid"] is False
        assert answer.json()["errors"]
    else:
        is_problem(answer, 400, 413, 422)
    await good_is_served(kept)


@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize("path", PATHS)
async def test_ten_megabytes_are_too_much_and_the_connection_stays(
    kept: KeptConnection, path: str, chunked: bool
) -> None:
    body = json.dumps({**GOOD, "initial_state": {"x": "y" * TEN_MEGABYTES}}).encode()
    pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    answer = await kept.post(f"{API}{path}", iter(pieces) if chunked else body)
    assert is_problem(answer, 413)["code"] == "payload_too_large"
    await good_is_served(kept)


async def test_bad_bodies_are_answered_at_once(kept: KeptConnection) -> None:
    took = []
    for body in UNREADABLE.values():
        began = time.monotonic()
        await kept.post(f"{API}/workflows/execute", body)
        took.append(time.monotonic() - began)
    assert median(took) < 1


WRONG_SHAPES: list[tuple[dict[str, Any], str]] = [
    ({}, "workflow"),
    ({"workflow": 7}, "/workflow"),
    ({"workflow": []}, "/workflow"),
    ({"workflow": "x"}, "/workflow"),
    ({"workflow_id": 7}, "/workflow_id"),
    ({"workflow_id": "a.b"}, "/workflow_id"),
    ({"workflow_id": "x", "workflow": WORKFLOW}, "/workflow"),
    ({"workflow": WORKFLOW, "initial_state": []}, "/initial_state"),
    ({"workflow": WORKFLOW, "initial_state": None}, "/initial_state"),
    ({"workflow": WORKFLOW, "timeout_seconds": "soon"}, "/timeout_seconds"),
    ({"workflow": WORKFLOW, "timeout_seconds": 0}, "/timeout_seconds"),
    ({"workflow": WORKFLOW, "timeout_seconds": 10**18}, "/timeout_seconds"),
    ({"workflow": WORKFLOW, "tags": "a"}, "/tags"),
    ({"workflow": WORKFLOW, "tags": [1, {}]}, "/tags/0"),
    ({"workflow": WORKFLOW, "metadata": []}, "/metadata"),
    ({"workflow": WORKFLOW, "version": 1}, "/version"),
    ({"workflow": WORKFLOW, "wrokflow_id": "x"}, "/wrokflow_id"),
    ({"workflow": WORKFLOW, "tenant": "other"}, "/tenant"),
    (WORKFLOW, "/nodes"),
]


@pytest.mark.parametrize(("shape", "pointer"), WRONG_SHAPES)
async def test_a_request_of_the_wrong_shape_is_told_where(
    kept: KeptConnection, shape: dict[str, Any], pointer: str
) -> None:
    for path in PATHS[:2]:
        problem = is_problem(await kept.post(f"{API}{path}", json.dumps(shape).encode()), 422)
        assert pointer in json.dumps(problem)
    await good_is_served(kept)


async def test_an_invalid_workflow_is_told_all_its_errors_at_once(kept: KeptConnection) -> None:
    workflow = {
        "start_node": "inptu",
        "nodes": [
            {"id": "input", "type": "input"},
            {"id": "ask", "type": "llm", "metadata": {"source_id": "gtp", "prompt": "x"}},
            {"id": "lost", "type": "aggregatr"},
        ],
        "edges": [{"from": "input", "to": "aks"}],
        "sources": [{"id": "gpt", "kind": "llm", "config": {"provider": "demo"}}],
    }
    for path in PATHS[:2]:
        answer = await kept.post(f"{API}{path}", json.dumps({"workflow": workflow}).encode())
        errors = is_problem(answer, 400)["errors"]
        assert len(errors) >= 4
        assert all(e["code"] and e["message"] and e["pointer"].startswith("/") for e in errors)
        assert {"ask", "lost"} <= {error.get("node_id") for error in errors}
        hints = " ".join(error.get("hint") or "" for error in errors)
        assert all(meant in hints for meant in ("input", "ask", "gpt", "aggregator"))
    await good_is_served(kept)


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/pickle", "/"],
)
async def test_other_media_types_are_refused(kept: KeptConnection, content_type: str) -> None:
    body = json.dumps(GOOD).encode()
    answer = await kept.post(f"{API}/workflows/execute", body, content_type=content_type)
    is_problem(answer, 415)
    await good_is_served(kept)


@pytest.mark.parametrize(
    "execution_id",
    ["nobody", "a.b", "*", ">", "\x00", "../../etc/passwd", "x" * 3000, "ä\u202e", "%", "' or 1=1"],
)
async def test_odd_ids_are_not_found(kept: KeptConnection, execution_id: str) -> None:
    name = quote(execution_id, safe="")
    for path in (
        f"/executions/{name}",
        f"/jobs/{name}",
        f"/jobs/{name}/result",
        f"/executions/{name}/events",
    ):
        is_problem(await kept.get(f"{API}{path}"), 400, 404, 414, 422)
    is_problem(await kept.post(f"{API}/executions/{name}/cancel", b""), 400, 404, 414, 422)
    await good_is_served(kept)


@pytest.mark.parametrize("wait", ["NaN", "inf", "-1", "1e999", "soon", "", "9" * 400, "[]"])
async def test_an_odd_wait_is_refused(kept: KeptConnection, wait: str) -> None:
    path = f"{API}/workflows/execute?wait={quote(wait)}"
    is_problem(await kept.post(path, json.dumps(GOOD).encode()), 422)
    await good_is_served(kept)


@pytest.mark.parametrize("key", ["", " ", "x" * 5_000, "ä\xff", '"', "a\tb"])
async def test_an_odd_idempotency_key_is_refused_or_kept_apart(
    kept: KeptConnection, key: str
) -> None:
    body = json.dumps(GOOD).encode()
    answer = await kept.post(f"{API}/workflows/execute", body, idempotency_key=key)
    if answer.status != 200:
        is_problem(answer, 400, 422)
    await good_is_served(kept)


@pytest.mark.parametrize(
    "api_key",
    ["", "nobody", "a.b", "af_x." + "y" * 43, "x" * 5_000, "ä\xff", "' or 1=1 --", "\t", "null"],
)
async def test_an_odd_api_key_is_refused_and_not_repeated(stack: Stack, api_key: str) -> None:
    connection = KeptConnection(stack.addresses.gateway_url, api_key)
    for name in ("x_api_key", "authorization"):
        value = api_key if name == "x_api_key" else f"Bearer {api_key}"
        answer = await connection.post(f"{API}/workflows/execute", b"[" * 1000, **{name: value})
        problem = is_problem(answer, 401)
        assert not api_key.strip() or len(api_key) < 5 or api_key not in json.dumps(problem)
    connection.close()


@pytest.mark.parametrize("last_event_id", ["x", "-1", "9" * 400, "1.5", "", "\xff"])
async def test_an_odd_last_event_id_does_not_break_the_stream(
    kept: KeptConnection, last_event_id: str
) -> None:
    answer = await kept.post(f"{API}/workflows/execute", json.dumps(GOOD).encode())
    execution_id = answer.json()["execution_id"]
    path = f"{API}/executions/{execution_id}/events"
    answer = await kept.get(path, last_event_id=last_event_id)
    if answer.status == 200:
        assert answer.headers["content-type"].startswith("text/event-stream")
    elif answer.status != 204:  # nothing comes after that id: the stream's way to say stop
        is_problem(answer, 400, 422)


SMUGGLING = (
    b"POST /api/v1/workflows/execute HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
    b"transfer-encoding: chunked\r\n\r\nZZ\r\n"
)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n" * 10_000,
        b"POST /api/v1/workflows/execute HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        SMUGGLING,
        b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 50_000,
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["tls", "no version", "http 9.9", "blank", "length", "smuggling", "headers", "long path"],
)
async def test_what_is_no_http_harms_nobody_else(
    stack: Stack, kept: KeptConnection, raw: bytes
) -> None:
    where = urlsplit(stack.addresses.gateway_url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        writer.write(raw)
        await writer.drain()
        writer.write_eof()
        said = await asyncio.wait_for(reader.read(65536), 20)
        assert not said or said.startswith(b"HTTP/1.1 4")
    except (ConnectionError, BrokenPipeError):
        pass  # hung up on: fine
    finally:
        writer.close()
    await good_is_served(kept)


async def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody_else(
    stack: Stack, kept: KeptConnection
) -> None:
    where = urlsplit(stack.addresses.gateway_url)
    head = (
        f"POST {API}/workflows/execute HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"x-api-key: {stack.addresses.api_key}\r\ncontent-length: 1000000\r\n\r\n"
    ).encode()
    for _ in range(20):
        _, writer = await asyncio.open_connection(where.hostname, where.port)
        writer.write(head + b'{"workflow": ')
        await writer.drain()
        writer.transport.abort()
    await good_is_served(kept)
