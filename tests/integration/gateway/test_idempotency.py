"""One Idempotency-Key, one execution."""

import asyncio
from pathlib import Path

import httpx
import psutil
import pytest

from agentflow.gateway.submit import Asked
from tests.support.gateway_stage import GatewayStage, gateway_stage, hello
from tests.support.nats_server import NatsServer
from tests.support.waiting import eventually

EXECUTE = "/api/v1/workflows/execute"
KEY = {"Idempotency-Key": "order-4711"}


async def test_a_repeat_gets_the_first_execution_and_says_so(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        first = await on.client.post(EXECUTE, json={"workflow": hello()}, headers=KEY)
        again = await on.client.post(EXECUTE, json={"workflow": hello()}, headers=KEY)
        later = await on.client.post(EXECUTE + "/async", json={"workflow": hello()}, headers=KEY)
        assert first.json()["status"] == "success"
        assert again.json() == first.json()
        assert later.json()["execution_id"] == first.json()["execution_id"]
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert later.headers["idempotent-replayed"] == "true"
        assert len(on.fleet.executed) == 1


async def test_without_a_key_a_repeat_is_another_execution(nats_url: str, tmp_path: Path) -> None:
    """Negative control: it is the key that holds them together."""
    async with gateway_stage(nats_url, tmp_path) as on:
        first, again = await on.execute(), await on.execute()
        assert first.json()["execution_id"] != again.json()["execution_id"]
        assert len(on.fleet.executed) == 2


async def test_another_body_under_the_same_key_is_a_conflict(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        first = await on.client.post(EXECUTE, json={"workflow": hello()}, headers=KEY)
        other = await on.client.post(EXECUTE, json={"workflow": hello("x")}, headers=KEY)
        assert (other.status_code, other.json()["code"]) == (409, "idempotency_key_reused")
        assert other.json()["execution_id"] == first.json()["execution_id"]


async def test_the_layout_of_the_body_does_not_matter(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        headers = {**KEY, "Content-Type": "application/json"}
        one = b'{"workflow": {"name": "hello", "nodes": []}, "tags": ["a"]}'
        two = b'{ "tags":["a"],\n "workflow":{"nodes":[],"name":"hello"} }'
        first = await on.client.post(EXECUTE, content=one, headers=headers)
        again = await on.client.post(EXECUTE, content=two, headers=headers)
        assert again.json()["execution_id"] == first.json()["execution_id"]


async def test_tenants_do_not_share_keys(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        mine = await on.client.post(EXECUTE, json={"workflow": hello()}, headers=KEY)
        theirs = await on.client.post(
            EXECUTE, json={"workflow": hello("x")}, headers={**KEY, **on.as_role("rival")}
        )
        assert theirs.status_code == 200
        assert theirs.json()["execution_id"] != mine.json()["execution_id"]


async def test_many_at_once_are_one_execution(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        answers = await asyncio.gather(
            *(on.client.post(EXECUTE, json={"workflow": hello()}, headers=KEY) for _ in range(20))
        )
        assert {a.status_code for a in answers} == {200}
        assert len({a.json()["execution_id"] for a in answers}) == 1
        assert len(on.fleet.executed) == 1


async def test_a_refused_request_does_not_use_its_key_up(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        refused = await on.client.post(EXECUTE, json={"workflow": {"nodes": 7}}, headers=KEY)
        assert refused.status_code == 400
        good = await on.client.post(EXECUTE, json={"workflow": hello()}, headers=KEY)
        assert good.status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "with\ttab"])
async def test_a_key_that_is_none_is_refused(nats_url: str, tmp_path: Path, key: str) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        answer = await on.client.post(
            EXECUTE, json={"workflow": hello()}, headers={"Idempotency-Key": key}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "malformed_request")


async def test_a_repeat_after_an_unknown_outcome_runs_the_same_execution_once(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with gateway_stage(nats_server.url, tmp_path, bus_timeout_seconds=1.0) as on:
        await on.execute()  # the spec is known to be valid, the bucket is open
        unknown = await _execute_into_a_stall(on, nats_server)
        assert (unknown.status_code, unknown.json()["code"]) == (503, "outcome_unknown")
        execution_id = unknown.json()["execution_id"]
        repeat = await on.client.post(EXECUTE, json={"workflow": hello()}, headers=KEY)
        assert repeat.status_code == 200, repeat.text
        assert repeat.json()["execution_id"] == execution_id
        assert repeat.headers["idempotent-replayed"] == "true"
        ran = [c for c in on.fleet.executed if c.execution_id == execution_id]
        assert len(ran) == 1


async def _execute_into_a_stall(on: GatewayStage, nats_server: NatsServer) -> httpx.Response:
    """Freeze the server between the claim and the command."""
    submitter = on.gateway.submitter
    check = submitter._check

    async def freeze(asked: Asked) -> int | None:
        found = await check(asked)
        nats_server.pause()
        frozen = psutil.Process(nats_server.pid)
        await eventually(lambda: frozen.status() == psutil.STATUS_STOPPED)
        return found

    submitter._check = freeze  # type: ignore[method-assign]  # the place of the stall
    try:
        return await on.client.post(EXECUTE, json={"workflow": hello()}, headers=KEY)
    finally:
        submitter._check = check  # type: ignore[method-assign]  # as it was
        nats_server.resume()
