"""The gateway client: server-sent events, problems as errors, exit codes that scripts rely on."""

from collections.abc import AsyncIterator

import httpx
import pytest

from agentflow.cli.client import Gateway, Refused, ServerTrouble, parse_events
from agentflow.cli.dev_file import Target
from agentflow.cli.errors import Unreachable


async def lines_of(text: str) -> AsyncIterator[str]:
    for line in text.split("\n"):
        yield line


async def parsed(text: str) -> list[tuple[str | None, str, object]]:
    return [(e.id, e.name, e.data) async for e in parse_events(lines_of(text))]


async def test_events_have_an_id_a_name_and_json() -> None:
    text = 'id: 7\nevent: node.completed\ndata: {"a":\ndata: 1}\n\n: still here\n\ndata: {}\n\n'
    assert await parsed(text) == [("7", "node.completed", {"a": 1}), (None, "message", {})]


async def test_an_event_cut_in_half_is_not_an_event() -> None:
    assert await parsed('id: 7\nevent: node.completed\ndata: {"a": 1}') == []


async def test_what_is_not_json_is_passed_over() -> None:
    assert await parsed("data: not json\n\ndata: [1]\n\n") == []


def answering(*responses: httpx.Response | Exception) -> Gateway:
    left = list(responses)

    def handle(_: httpx.Request) -> httpx.Response:
        response = left.pop(0)
        if isinstance(response, Exception):
            raise response
        return response

    gateway = Gateway(Target("http://gateway", "key"))
    gateway._client = httpx.AsyncClient(
        base_url="http://gateway", transport=httpx.MockTransport(handle)
    )
    return gateway


def problem(status: int, code: str, **fields: object) -> httpx.Response:
    body = {"title": code, "status": status, "code": code, "detail": f"It is {code}.", **fields}
    return httpx.Response(status, json=body)


async def test_a_refusal_keeps_its_issues_and_exits_2() -> None:
    issues = [{"code": "cycle", "message": "a → b → a"}]
    async with answering(problem(400, "invalid_workflow", errors=issues)) as gateway:
        with pytest.raises(Refused, match="It is invalid_workflow") as refused:
            await gateway.get("/x")
    assert refused.value.issues[0].code == "cycle"
    assert refused.value.exit_code == 2


async def test_an_unknown_key_says_where_to_get_one() -> None:
    async with answering(problem(401, "unauthenticated")) as gateway:
        with pytest.raises(Refused, match="AGENTFLOW_API_KEY"):
            await gateway.get("/x")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_trouble_on_the_server_exits_3(status: int) -> None:
    async with answering(problem(status, "dependency_down")) as gateway:
        with pytest.raises(ServerTrouble, match="dependency_down") as trouble:
            await gateway.get("/x")
    assert trouble.value.exit_code == 3


async def test_a_proxy_that_answers_html_is_not_taken_for_a_gateway() -> None:
    async with answering(httpx.Response(502, text="<html>")) as gateway:
        with pytest.raises(ServerTrouble, match="HTTP 502"):
            await gateway.get("/x")


async def test_nobody_there_exits_3_with_what_to_do() -> None:
    async with answering(httpx.ConnectError("refused")) as gateway:
        with pytest.raises(Unreachable, match="does not answer") as unreachable:
            await gateway.get("/x")
    assert unreachable.value.exit_code == 3
    assert "agentflow dev" in (unreachable.value.hint or "")


async def test_a_broken_event_stream_is_taken_up_after_the_last_event() -> None:
    class Breaking(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b'id: 1\nevent: a\ndata: {"n": 1}\n\n'
            raise httpx.ReadError("cut")

    seen: list[str | None] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("Last-Event-ID"))
        if len(seen) == 1:
            return httpx.Response(200, stream=Breaking())
        return httpx.Response(200, text='id: 2\nevent: b\ndata: {"n": 2}\n\n')

    gateway = Gateway(Target("http://gateway", None))
    gateway._client = httpx.AsyncClient(
        base_url="http://gateway", transport=httpx.MockTransport(handle)
    )
    async with gateway:
        assert [event.data["n"] async for event in gateway.events("e")] == [1, 2]
    assert seen == [None, "1"]


async def test_an_event_stream_that_never_comes_back_ends_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agentflow.cli.client.MAX_PAUSE_SECONDS", 0.0)
    async with answering(*[httpx.ConnectError("refused")] * 20) as gateway:
        with pytest.raises(Unreachable, match="keeps breaking"):
            _ = [event async for event in gateway.events("e")]
