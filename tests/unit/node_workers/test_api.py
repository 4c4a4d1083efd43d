"""api nodes against a real HTTP server on loopback, well-behaved and not."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agentflow.contracts.spec import Source
from agentflow.node_workers.runner import NodeRunner
from tests.support.node_calls import failure, node, run, source
from tests.support.providers.http_server import Connection, Handler, HttpServer, Request
from tests.support.waiting import eventually
from tests.unit.node_workers.conftest import CANARY


async def mirror(request: Request, connection: Connection) -> None:
    """Answer with what was asked."""
    body = request.body.decode() if request.body else None
    told = {"method": request.method, "target": request.target, "body": body}
    await connection.answer(200, told)


@pytest.fixture
async def web() -> AsyncIterator[HttpServer]:
    async with HttpServer(mirror) as server:
        yield server


def origin(server: HttpServer, /, base: str = "/api", **config: Any) -> Source:
    return source("api", base_url=server.url + base, **config)


async def test_a_get_is_filled_from_the_state(runner: NodeRunner, web: HttpServer) -> None:
    get = node(
        "api",
        path="/users/{user.id}/orders",
        query={"page": "{page}", "tag": ["a", "b"], "none": None, "flag": True, "q": "x {page}"},
        headers={"X-Trace": "t-{page}"},
    )
    result = await run(runner, get, origin(web), {"user": {"id": 7}, "page": 2})
    assert result.output["method"] == "GET"
    assert result.output["target"] == ("/api/users/7/orders?page=2&tag=a&tag=b&flag=true&q=x+2")
    assert result.output_key == "api_result"
    assert web.requests[0].headers["x-trace"] == "t-2"
    assert web.requests[0].headers["idempotency-key"] == "exec_1.n"


async def test_http_is_another_name_for_api(runner: NodeRunner, web: HttpServer) -> None:
    assert (await run(runner, node("http"), origin(web))).output["target"] == "/api"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post"])
async def test_a_body_keeps_its_types(runner: NodeRunner, web: HttpServer, method: str) -> None:
    send = node("api", method=method, body={"ids": "{ids}", "text": "for {name}", "n": 1})
    result = await run(runner, send, origin(web), {"ids": [1, 2], "name": "ada"})
    assert result.output["method"] == method.upper()
    assert json.loads(result.output["body"]) == {"ids": [1, 2], "text": "for ada", "n": 1}
    assert web.requests[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"a": "{name}"}', "application/json"),
        ("hello {name}", "text/plain; charset=utf-8"),
        ("{not json", "text/plain; charset=utf-8"),
    ],
)
async def test_a_text_body_is_json_when_it_is_json(
    runner: NodeRunner, web: HttpServer, body: str, content_type: str
) -> None:
    await run(runner, node("api", method="POST", body=body), origin(web), {"name": "ada"})
    assert web.requests[0].headers["content-type"] == content_type
    assert b"{name}" not in web.requests[0].body


@pytest.mark.parametrize(
    "value", ["../admin", "../../", "a/b", "a?x=1", "a#b", "%2e%2e/", "@evil.example", "a\r\nX: y"]
)
async def test_a_value_cannot_climb_out_of_its_path_segment(
    runner: NodeRunner, web: HttpServer, value: str
) -> None:
    result = await run(runner, node("api", path="users/{id}/x"), origin(web), {"id": value})
    segments = result.output["target"].split("/")
    assert segments[:3] == ["", "api", "users"]
    assert segments[4:] == ["x"]
    assert len(web.requests) == 1


@pytest.mark.parametrize("path", ["@evil.example/x", ":1/x", "//evil.example/x"])
async def test_a_path_never_leads_to_another_host(
    runner: NodeRunner, web: HttpServer, path: str
) -> None:
    result = await run(runner, node("api", path=path), origin(web, ""))
    assert "evil" not in result.output["target"].split("/")[0]
    assert [r.headers["host"] for r in web.requests] == [f"127.0.0.1:{web.port}"]


async def test_a_query_may_be_a_text_with_encoded_values(
    runner: NodeRunner, web: HttpServer
) -> None:
    result = await run(runner, node("api", query="?q={q}&n=1"), origin(web), {"q": "a&b=c"})
    assert result.output["target"] == "/api?q=a%26b%3Dc&n=1"


async def test_a_node_that_says_the_whole_address_needs_no_source(
    runner: NodeRunner, web: HttpServer
) -> None:
    result = await run(runner, node("api", url=web.url + "/x/{id}"), None, {"id": "a b"})
    assert result.output["target"] == "/x/a%20b"
    assert (await failure(runner, node("api", path="/x"))).error_code == "invalid_request"


@pytest.mark.parametrize(
    "metadata",
    [
        {"method": "TRACE"},
        {"headers": {"Host": "evil.example"}},
        {"headers": {"Content-Length": "1"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"X-A": "a\r\nX-B: b"}},
        {"headers": {"X A": "b"}},
        {"headers": ["x"]},
        {"query": ["x"]},
        {"path": "x" * 20_000},
        {"timeout": -1},
        {"extract": "$["},
        {"extract": "$.a[?match(@.b, '(a+)+$')]"},
        {"extract": "$..a..b..c"},
        {"extract": 5},
    ],
)
async def test_what_cannot_be_sent_or_extracted_is_told(
    runner: NodeRunner, web: HttpServer, metadata: dict[str, Any]
) -> None:
    error = await failure(runner, node("api", **metadata), origin(web))
    assert error.error_code == "invalid_request"


async def test_parts_are_extracted_with_json_path(runner: NodeRunner) -> None:
    document = {"items": [{"id": 1, "tags": ["x"]}, {"id": 2, "tags": []}], "total": 2}

    async def serve(request: Request, connection: Connection) -> None:
        await connection.answer(200, document)

    async with HttpServer(serve) as web:
        for wanted, found in (
            ("$.total", 2),
            ("$.items[0].id", 1),
            ("$.items[*].id", [1, 2]),
            ("$.items[?@.id > 1].id", [2]),
            ("$.missing", None),
            ("$.missing[*]", []),
            ("$..id", [1, 2]),
            ({"n": "$.total", "ids": "$.items[*].id"}, {"n": 2, "ids": [1, 2]}),
        ):
            assert (await run(runner, node("api", extract=wanted), origin(web))).output == found


async def test_the_answer_is_checked_against_its_schema(
    runner: NodeRunner, web: HttpServer
) -> None:
    good = {"type": "object", "required": ["method"]}
    bad = {"type": "object", "required": ["nothing"]}
    assert (await run(runner, node("api", response_schema=good), origin(web))).output
    error = await failure(runner, node("api", response_schema=bad), origin(web))
    assert error.error_code == "bad_output"
    assert "nothing" in error.message
    remote = {"$ref": "http://127.0.0.1:1/schema.json"}
    error = await failure(runner, node("api", response_schema=remote), origin(web))
    assert error.error_code == "bad_schema"


def answering(status: int, body: Any = b"", **more: Any) -> Handler:
    async def serve(request: Request, connection: Connection) -> None:
        await connection.answer(status, body, **more)

    return serve


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "invalid_request", False),
        (401, "auth", False),
        (402, "quota_exhausted", False),
        (403, "auth", False),
        (404, "not_found", False),
        (408, "timeout", True),
        (409, "invalid_request", False),
        (418, "invalid_request", False),
        (422, "invalid_request", False),
        (429, "rate_limited", True),
        (500, "overloaded", True),
        (502, "overloaded", True),
        (503, "overloaded", True),
        (504, "timeout", True),
        (304, "bad_output", False),
    ],
)
async def test_each_status_has_its_code_and_the_servers_words_stay_out(
    runner: NodeRunner, status: int, code: str, retryable: bool
) -> None:
    async with HttpServer(answering(status, "the servers words", retry_after="4")) as web:
        error = await failure(runner, node("api"), origin(web))
    assert (error.error_code, error.retryable) == (code, retryable)
    assert error.retry_after == (4.0 if retryable else None)
    assert error.details == {"status": status}
    assert "servers words" not in repr(error.to_node_error())


async def truncated(request: Request, connection: Connection) -> None:
    await connection.head(1000)
    await connection.send(b'{"a"')
    connection.writer.close()


async def slammed(request: Request, connection: Connection) -> None:
    connection.writer.close()


async def babbling(request: Request, connection: Connection) -> None:
    await connection.send(b"this is no HTTP at all\r\n\r\n")
    connection.writer.close()


async def endless_head(request: Request, connection: Connection) -> None:
    await connection.send(b"HTTP/1.1 200 OK\r\n")
    while not connection.hung_up.is_set():
        await connection.send(b"X-Filler: " + b"a" * 10_000 + b"\r\n")


async def flooding(request: Request, connection: Connection) -> None:
    await connection.head(None)
    while not connection.hung_up.is_set():
        await connection.send(b"a" * 2**20)


async def redirecting_for_ever(request: Request, connection: Connection) -> None:
    await connection.answer(302, location="/again")


@pytest.mark.parametrize(
    ("handler", "codes"),
    [
        (truncated, {"network"}),
        (slammed, {"network"}),
        (babbling, {"network"}),
        (endless_head, {"network"}),
        (flooding, {"payload_too_large"}),
        (redirecting_for_ever, {"bad_output"}),
        (answering(200, b"{not json"), {"bad_output"}),
        (answering(200, b'{"a": NaN}'), {"bad_output"}),
        (answering(200, b"[" * 100_000 + b"]" * 100_000), {"bad_output"}),
        (answering(200, b'{"a": 1, "a": 2}'), {"bad_output"}),
        (answering(200, b"\x89PNG", content_type="image/png"), {"bad_output"}),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
async def test_a_server_that_misbehaves_fails_its_node_alone(
    runner: NodeRunner, web: HttpServer, handler: Handler, codes: set[str]
) -> None:
    async with HttpServer(handler) as bad:
        error = await failure(runner, node("api", timeout=20), origin(bad))
        assert error.error_code in codes, error.message
    assert (await run(runner, node("api"), origin(web))).output


@pytest.mark.parametrize(
    ("body", "content_type", "output"),
    [
        (b"", "application/json", None),
        (b"plain text", "text/plain", "plain text"),
        ("\u00e9".encode("latin-1"), "text/plain; charset=latin-1", "\u00e9"),
        (b"\xff\xfe", "text/plain; charset=utf-8", "\ufffd\ufffd"),
        (b"a\x00b", "text/plain", "a\ufffdb"),
        (b"[1]", "application/vnd.api+json; charset=utf-8", [1]),
        (b"<a/>", "application/xml", "<a/>"),
    ],
)
async def test_an_answer_is_json_or_text(
    runner: NodeRunner, body: bytes, content_type: str, output: Any
) -> None:
    async with HttpServer(answering(200, body, content_type=content_type)) as web:
        assert (await run(runner, node("api"), origin(web))).output == output


async def test_a_slow_server_is_cut_and_its_connection_closed(runner: NodeRunner) -> None:
    async def silent(request: Request, connection: Connection) -> None:
        await connection.wait_hung_up()

    async with HttpServer(silent) as web:
        error = await failure(runner, node("api", timeout=0.2), origin(web))
        assert (error.error_code, error.retryable) == ("timeout", True)
        await eventually(lambda: web.disconnects == 1)
        running = asyncio.create_task(run(runner, node("api"), origin(web)))
        await eventually(lambda: len(web.requests) == 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(lambda: web.disconnects == 2)


@pytest.mark.parametrize(
    ("config", "header", "value"),
    [
        ({"auth_method": "api_key", "api_key_env": "MODEL_KEY"}, "x-api-key", CANARY),
        (
            {"auth_type": "api_key", "api_key_env": "MODEL_KEY", "api_key_header": "X-Token"},
            "x-token",
            CANARY,
        ),
        ({"api_key_env": "MODEL_KEY"}, "x-api-key", CANARY),
        ({"auth_method": "bearer", "token_env": "MODEL_KEY"}, "authorization", f"Bearer {CANARY}"),
        (
            {"auth_method": "basic", "username_env": "API_USER", "password_env": "API_PASS"},
            "authorization",
            "Basic YWRhOnM6Y3JldA==",
        ),
    ],
)
async def test_credentials_come_from_secrets(
    environ: dict[str, str], web: HttpServer, config: dict[str, Any], header: str, value: str,
    clean_environ: None,
) -> None:  # fmt: skip
    from agentflow.node_workers.app import make_runner
    from agentflow.node_workers.settings import WorkersSettings

    environ |= {"API_USER": "ada", "API_PASS": "s:cret"}
    environ["AGENTFLOW_SECRETS_DEFAULT"] += ",API_USER,API_PASS"
    made = make_runner(WorkersSettings(egress_allow=("loopback",)), environ)
    result = await run(made, node("api", method="POST", body={"a": 1}), origin(web, **config))
    assert web.requests[0].headers[header] == value
    assert CANARY not in repr(result)
    await made.aclose()


@pytest.mark.parametrize(
    "config", [{"auth_method": "oauth2"}, {"auth_method": "bearer"}, {"auth_method": "x"}]
)
async def test_an_auth_that_is_not_there_yet_is_told(
    runner: NodeRunner, web: HttpServer, config: dict[str, Any]
) -> None:
    error = await failure(runner, node("api"), origin(web, **config))
    assert error.error_code in ("unsupported_auth", "invalid_request")
    assert web.requests == []


async def test_a_redirect_within_the_place_keeps_the_credentials(runner: NodeRunner) -> None:
    async def serve(request: Request, connection: Connection) -> None:
        if request.path == "/new":
            await connection.answer(200, {"ok": True})
        else:
            await connection.answer(301, location="/new")

    async with HttpServer(serve) as web:
        keyed = origin(web, auth_method="bearer", token_env="MODEL_KEY")
        assert (await run(runner, node("api"), keyed)).output == {"ok": True}
        assert [r.headers["authorization"] for r in web.requests] == [f"Bearer {CANARY}"] * 2


async def test_a_redirect_to_another_place_loses_everything_private(
    runner: NodeRunner, web: HttpServer
) -> None:
    async with HttpServer(answering(307, location=f"{web.url}/there")) as front:
        keyed = origin(
            front, auth_method="bearer", token_env="MODEL_KEY", headers={"X-Internal": "yes"}
        )
        result = await run(runner, node("api", headers={"X-Public": "1"}), keyed)
    assert result.output["target"] == "/there"
    arrived = web.requests[0].headers
    assert arrived["x-public"] == "1"
    assert not {"authorization", "x-internal", "idempotency-key"} & arrived.keys()


async def test_a_writing_request_is_never_redirected(runner: NodeRunner, web: HttpServer) -> None:
    async with HttpServer(answering(307, location=f"{web.url}/there")) as front:
        error = await failure(runner, node("api", method="POST", body={"a": 1}), origin(front))
    assert error.error_code == "bad_output"
    assert web.requests == []


async def test_no_proxy_of_the_environment_is_used(
    runner: NodeRunner, web: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await run(runner, node("api"), origin(web))).output["method"] == "GET"


async def test_one_client_serves_all_calls_of_a_source(runner: NodeRunner, web: HttpServer) -> None:
    for _ in range(5):
        await run(runner, node("api"), origin(web))
    assert web.connections == 1
