"""Large values travel by reference: 50 MB pass through a workflow and every reader sees them
as they are; what is too large fails its node, and the neighbours do not notice.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from agentflow.cli.embedded.stack import Stack
from agentflow.contracts.state import REF_PREFIX, VALUE_LIMIT_BYTES
from tests.support.hostile import WORKFLOW
from tests.support.providers.http_server import Connection, HttpServer, Request
from tests.support.stacks import running_stack
from tests.support.watch_bus import BusWatch

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
MEGABYTE = 1_000_000
EXECUTION_LIMIT = 60 * MEGABYTE


def rows(megabytes: int) -> list[dict[str, Any]]:
    """JSON of about that size; equal values would be stored, and counted, only once."""
    return [
        {"number": number, "text": f"{number:06d}" + "x" * 9_950}
        for number in range(megabytes * 100)
    ]


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Processes of their own, so that sizes hit what they would hit in production."""
    directory: Path = tmp_path_factory.mktemp("large")
    environ = {"AGENTFLOW_EXECUTOR_EXECUTION_LIMIT_BYTES": str(EXECUTION_LIMIT)}
    async with running_stack(directory, split=True, environ=environ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[HttpServer]:
    """`GET /<megabytes>` answers that much JSON; `POST /digest` answers the digest of its body."""

    async def handle(request: Request, connection: Connection) -> None:
        if request.method == "POST":
            await connection.answer(200, {"digest": digest(request.json())})
        else:
            await connection.answer(200, rows(int(request.path.strip("/"))))

    async with HttpServer(handle) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"{stack.addresses.gateway_url}/api/v1",
        headers={"X-API-Key": stack.addresses.api_key},
        trust_env=False,
        timeout=100,
    ) as made:
        yield made


def fetching(url: str, sizes: list[int], *, after: list[dict[str, Any]]) -> dict[str, Any]:
    """Nodes that fetch `sizes` megabytes side by side, then the nodes of `after`."""
    fetches = [f"f{place}" for place in range(len(sizes))]
    return {
        "start_node": "start",
        "nodes": [
            {"id": "start", "type": "input"},
            *(
                {
                    "id": name,
                    "type": "api",
                    "metadata": {"source_id": "web", "path": f"/{size}", "output_key": name},
                    "retry": {"max_attempts": 1},
                }
                for name, size in zip(fetches, sizes, strict=True)
            ),
            *after,
        ],
        "edges": [
            {"from": "start", "to": fetches},
            *({"from": name, "to": [node["id"] for node in after]} for name in fetches if after),
        ],
        "sources": [{"id": "web", "kind": "api", "config": {"base_url": url}}],
    }


async def run(client: httpx.AsyncClient, workflow: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post(
        "/workflows/execute", params={"wait": 90}, json={"workflow": workflow}
    )
    assert answer.status_code == 200, answer.text[:2000]
    body: dict[str, Any] = answer.json()
    return body


async def test_fifty_megabytes_pass_by_reference_and_read_as_values(
    stack: Stack, provider: HttpServer, client: httpx.AsyncClient
) -> None:
    workflow = fetching(
        provider.url,
        [26, 24],
        after=[
            {
                "id": "pick",
                "type": "aggregator",
                "metadata": {
                    "strategy": "template",
                    "template": "{f0.2499.number} and {f1.7.number}",
                    "include_metadata": False,
                },
            },
            {
                "id": "send",
                "type": "api",
                "metadata": {
                    "source_id": "web",
                    "method": "POST",
                    "path": "/digest",
                    "body": "{f1}",
                    "output_key": "told",
                },
            },
        ],
    )
    async with BusWatch(stack.addresses.nats_url) as bus:
        body = await run(client, workflow)
    assert body["status"] == "success", body["error"]
    state = body["final_state"]
    assert state["final_output"] == "2499 and 7"
    assert (state["f0"], state["f1"]) == (rows(26), rows(24))
    assert state["told"] == {"digest": digest(rows(24))}
    # On the bus there were references only.
    assert max(len(data) for _, data in bus.events) < MEGABYTE
    assert sum(REF_PREFIX.encode() in data for _, data in bus.events) >= 3


async def small_ones_are_served(client: httpx.AsyncClient, count: int) -> None:
    for _ in range(count):
        answer = await client.post(
            "/workflows/execute",
            params={"wait": 60},
            json={"workflow": WORKFLOW, "initial_state": {"user_input": "you"}},
        )
        assert answer.json()["status"] == "success"


async def test_a_value_of_a_hundred_megabytes_fails_its_node_and_leaves_the_neighbours_alone(
    stack: Stack, provider: HttpServer, client: httpx.AsyncClient
) -> None:
    pids = stack.pids
    workflow = fetching(provider.url, [100, 1], after=[])
    body, _ = await asyncio.gather(run(client, workflow), small_ones_are_served(client, 30))
    assert body["status"] == "error"
    assert body["error"]["code"] == "payload_too_large"
    assert body["error"]["node_id"] == "f0"
    assert f"{VALUE_LIMIT_BYTES:,}" in body["error"]["message"]
    await small_ones_are_served(client, 5)
    assert stack.pids == pids


async def test_the_node_that_makes_an_execution_too_heavy_fails(
    stack: Stack, provider: HttpServer, client: httpx.AsyncClient
) -> None:
    """Each value is allowed; all together are over the execution's limit."""
    workflow = fetching(provider.url, [25, 24], after=[])
    workflow["nodes"].append(
        {
            "id": "third",
            "type": "api",
            "metadata": {"source_id": "web", "path": "/23", "output_key": "third"},
        }
    )
    workflow["edges"] += [{"from": name, "to": "third"} for name in ("f0", "f1")]
    body, _ = await asyncio.gather(run(client, workflow), small_ones_are_served(client, 10))
    assert body["status"] == "error"
    assert body["error"]["code"] == "payload_too_large"
    assert body["error"]["node_id"] == "third"
    assert f"{EXECUTION_LIMIT:,}" in body["error"]["message"]
    assert body["final_state"]["f0"] == rows(25)  # partial state is kept
    assert "third" not in body["final_state"]


async def test_a_large_initial_state_is_taken_and_given_back(client: httpx.AsyncClient) -> None:
    value = rows(7)
    answer = await client.post(
        "/workflows/execute",
        params={"wait": 60},
        json={"workflow": WORKFLOW, "initial_state": {"user_input": "you", "mine": value}},
    )
    body = answer.json()
    assert body["status"] == "success", body
    assert body["final_state"]["mine"] == value
    detail = (await client.get(f"/executions/{body['execution_id']}")).json()
    assert detail["status"] == "COMPLETED"
