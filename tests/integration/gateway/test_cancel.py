"""Cancelling through REST."""

import asyncio
from pathlib import Path

import pytest

from tests.support.gateway_stage import gateway_stage, hello
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/executions/{id}/cancel"), ("DELETE", "/jobs/{id}")]
)
async def test_a_running_execution_is_cancelled_and_again_is_no_error(
    nats_url: str, tmp_path: Path, method: str, path: str
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = await on.background(hello("hang"))
        for _ in range(2):
            answer = await on.client.request(method, path.format(id=execution_id))
            assert (answer.status_code, answer.json()["status"]) == (200, "CANCELLED")
        assert len(on.fleet.cancelled) == 1
        assert on.fleet.cancelled[0].requested_by == "developer-user"
        result = (await on.client.get(f"/jobs/{execution_id}/result")).json()
        assert (result["status"], result["execution_status"]) == ("error", "CANCELLED")
        assert result["final_state"] == {"partial": True}


async def test_the_reason_reaches_the_command(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = await on.background(hello("hang"))
        path = f"/executions/{execution_id}/cancel"
        assert (await on.client.post(path, json={"reasn": "typo"})).status_code == 422
        assert (await on.client.post(path, json={"reason": "enough"})).status_code == 200
        assert on.fleet.cancelled[0].reason == "enough"


async def test_what_does_not_end_at_once_is_accepted(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path, cancel_wait_seconds=0.1) as on:
        on.fleet.honours_cancel = False
        execution_id = await on.background(hello("hang"))
        answer = await on.client.post(f"/executions/{execution_id}/cancel")
        assert (answer.status_code, answer.json()["cancel_requested"]) == (202, True)
        assert answer.headers["location"] == f"/api/v1/jobs/{execution_id}"


async def test_what_has_ended_otherwise_cannot_be_cancelled(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = (await on.execute()).json()["execution_id"]
        answer = await on.client.post(f"/executions/{execution_id}/cancel")
        assert (answer.status_code, answer.json()["code"]) == (409, "execution_ended")
        assert "COMPLETED" in answer.json()["detail"]
        assert on.fleet.cancelled == []


async def test_a_caller_who_waits_hears_of_the_cancel(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        waiting = asyncio.create_task(on.execute(hello("hang"), wait=30))
        await eventually(lambda: on.fleet.executed)
        execution_id = on.fleet.executed[0].execution_id

        async def cancelled() -> bool:
            return (await on.client.delete(f"/jobs/{execution_id}")).status_code == 200

        await eventually(cancelled)
        body = (await waiting).json()
        assert (body["status"], body["execution_status"]) == ("error", "CANCELLED")
