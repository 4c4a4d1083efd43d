"""Nothing that can be sent leads to a 500, a hang or a dropped connection."""

import asyncio
import json
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.gateway_stage import GatewayStage, hello

pytestmark = [pytest.mark.nats, pytest.mark.asyncio(loop_scope="module")]
QUICK = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
WAITS_FOR_NOTHING = "?wait=0"
API = "/api/v1"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=15,
)
body_keys = st.sampled_from(
    ["workflow", "workflow_id", "version", "initial_state", "timeout_seconds", "tags", "metadata"]
)
specs = st.fixed_dictionaries(
    {"nodes": st.lists(json_values, max_size=3)},
    optional={"name": json_values, "edges": json_values, "start_node": json_values},
)
bodies = st.one_of(
    st.binary(max_size=300),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.dictionaries(body_keys, json_values).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries({"workflow": specs}, optional={"initial_state": json_values}).map(
        lambda value: json.dumps(value).encode()
    ),
)
WORDS = (
    *("workflows", "validate", "execute", "async", "jobs", "result", "executions", "events"),
    *("cancel", "health", "ready", "metrics", "docs", "assets", "api", "v1", "exec_1", "..", ""),
)
PARAMETERS = (
    *("wait", "plan", "node", "status", "from", "to", "tag", "metadata", "text", "limit"),
    *("cursor", "skip", "workflow_id", "workflow_name", "tokens"),
)
ODD_TEXTS = (
    *("0", "-1", "1e308", "nan", "inf", "true", "RUNNING", "9" * 40, "a:b", ":"),
    *("2026-11-21", "1-1-1", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"),
)
HEADERS = (
    *("X-API-Key", "Authorization", "Idempotency-Key", "Content-Type", "X-Request-ID"),
    *("Last-Event-ID", "Expect", "Accept", "traceparent", "X-Forwarded-For", "Host"),
)
segments = st.sampled_from(WORDS) | st.text(max_size=12)
header_text = st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=40)
query_names = st.sampled_from(PARAMETERS)
query_texts = st.text(max_size=30) | st.sampled_from(ODD_TEXTS)


def is_told_properly(answer: httpx.Response) -> None:
    """Below 500, with an id, and a problem when it is an error."""
    assert answer.status_code < 500, answer.text
    assert answer.headers["x-request-id"]
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["code"]
        assert problem["detail"]


@QUICK
@given(body=bodies, path=st.sampled_from(["/workflows/execute", "/workflows/validate"]))
async def test_no_body_breaks_it(shared: GatewayStage, body: bytes, path: str) -> None:
    headers = {"Content-Type": "application/json"}
    url = API + path + WAITS_FOR_NOTHING
    async with asyncio.timeout(15):
        is_told_properly(await shared.client.post(url, content=body, headers=headers))


@QUICK
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"]),
    path=st.lists(segments, max_size=5),
)
async def test_no_path_breaks_it(shared: GatewayStage, method: str, path: list[str]) -> None:
    raw = "/" + "/".join(quote(segment, safe="") for segment in path)
    url = httpx.URL(shared.url).copy_with(raw_path=raw.encode())
    async with asyncio.timeout(15):
        answer = await shared.client.request(method, url)
    if method == "HEAD":
        assert answer.status_code < 500
    else:
        is_told_properly(answer)


@QUICK
@given(query=st.lists(st.tuples(query_names, query_texts), max_size=4))
async def test_no_query_breaks_it(shared: GatewayStage, query: list[tuple[str, str]]) -> None:
    given_query = urlencode(query, errors="surrogatepass")
    waits_not = urlencode([(name, text) for name, text in query if name != "wait"])
    body = {"workflow": hello("hang"), "wait": 0}
    post = shared.client.post
    async with asyncio.timeout(15):
        is_told_properly(await shared.client.get(f"/executions?{given_query}"))
        is_told_properly(await post(f"/workflows/execute?{waits_not}", json=body))
        is_told_properly(await post(f"/workflows/validate?{given_query}", json=hello()))


@QUICK
@given(
    name=st.sampled_from(HEADERS),
    value=header_text,
)
async def test_no_header_breaks_it(shared: GatewayStage, name: str, value: str) -> None:
    given_headers = [(name.encode(), value.encode("latin-1"))]
    if name != "X-API-Key":
        given_headers.append((b"X-API-Key", shared.keys["developer"].encode()))
    body = json.dumps({"workflow": hello("hang")}).encode()
    async with asyncio.timeout(15), httpx.AsyncClient(base_url=shared.url, verify=False) as client:
        for method, path, content in (
            ("POST", "/workflows/execute?wait=0", body),
            ("GET", "/executions/exec_none/events", None),
            ("GET", "/jobs/exec_none", None),
        ):
            is_told_properly(
                await client.request(method, path, content=content, headers=given_headers)
            )


@QUICK
@given(value=json_values)
async def test_any_json_as_initial_state_comes_back_as_it_was_or_is_refused(
    shared: GatewayStage, value: Any
) -> None:
    body = json.dumps({"workflow": hello(), "initial_state": {"value": value}}).encode()
    headers = {"Content-Type": "application/json"}
    async with asyncio.timeout(20):
        answer = await shared.client.post("/workflows/execute", content=body, headers=headers)
    is_told_properly(answer)
    if answer.status_code == 200:
        assert answer.json()["final_state"]["value"] == value
    else:
        assert answer.json()["code"] == "malformed_json"


async def test_after_all_that_it_still_serves(shared: GatewayStage) -> None:
    assert (await shared.execute()).json()["status"] == "success"
    figures = (await shared.client.get("/metrics")).text
    assert 'status="500"' not in figures
