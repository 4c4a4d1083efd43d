"""What became of executions: from history's record, and from the log where it lags behind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentflow.bus.bus import utc_now
from agentflow.contracts.events import NodeFailed, NodeRetrying, NodeStarted
from agentflow.contracts.ids import ExecutionId, NodeId
from agentflow.contracts.problem import NodeError
from agentflow.history.app import create_app as create_history
from agentflow.storage.settings import StorageSettings
from tests.support.gateway_stage import TENANT, GatewayStage, gateway_stage, hello
from tests.support.waiting import eventually


@asynccontextmanager
async def history(on: GatewayStage, database_url: str) -> AsyncIterator[None]:
    """The real history service beside the gateway."""
    storage = StorageSettings(database_url=database_url)
    app = create_history(bus_settings=on.bus_settings, storage_settings=storage)
    await app.start()
    try:
        yield
    finally:
        await app.stop()


async def recorded(on: GatewayStage, execution_id: str) -> bool:
    """Whether history has written the end down."""
    found = await on.gateway.record.summary(TENANT, execution_id)
    return found is not None and found.status.is_terminal


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
async def test_log_and_record_tell_the_same_execution(
    nats_url: str, tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    """Nobody can tell which of the two answered: fields, nodes, attempts, timeline."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    if database == "postgres":
        url = request.getfixturevalue("postgres_url")
    async with gateway_stage(nats_url, tmp_path, database_url=url) as on:
        done = await on.background(tags=["a"], metadata={"k": "v"})
        failed = await on.background(hello("fail"))
        retried = await on.background(hello("hang"))
        await _attempts(on, retried)
        for execution_id in (done, failed):
            await eventually(partial(_ended, on, execution_id))
        ids = (done, failed, retried)
        logged = {i: (await on.client.get(f"/executions/{i}")).json() for i in ids}
        assert logged[done]["status"] == "COMPLETED"
        assert logged[done]["nodes"][0]["attempts"][0]["output"] == "done"
        assert [a["status"] for a in logged[retried]["nodes"][0]["attempts"]] == [
            "FAILED",
            "FAILED",
            "RUNNING",
        ]
        async with history(on, url):
            for execution_id in (done, failed):
                await eventually(partial(recorded, on, execution_id))
            for execution_id in ids:
                now = (await on.client.get(f"/executions/{execution_id}")).json()
                assert now == logged[execution_id]


async def test_a_job_is_pending_then_running_then_ended_without_any_record(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        on.fleet.executor_works = False
        pending = await on.background()
        assert (await on.client.get(f"/jobs/{pending}")).json()["status"] == "PENDING"
        on.fleet.executor_works = True
        running = await on.background(hello("hang"))

        async def is_running() -> bool:
            return "RUNNING" in (await on.client.get(f"/jobs/{running}")).text

        await eventually(is_running)
        failed = (await on.execute(hello("fail"))).json()["execution_id"]
        job = (await on.client.get(f"/jobs/{failed}")).json()
        assert (job["status"], job["error"]["code"]) == ("FAILED", "boom")
        assert job["created_at"] <= job["started_at"] <= job["ended_at"]
        result = (await on.client.get(f"/jobs/{failed}/result")).json()
        assert (result["status"], result["final_state"]) == ("error", {"a": 1})


async def test_a_result_outlives_its_events(nats_url: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = (await on.execute(initial_state={"user_input": "x"})).json()["execution_id"]
        async with history(on, url):
            await eventually(lambda: recorded(on, execution_id))
        await on.nc.jetstream().purge_stream(f"{on.bus_settings.prefix}_EVENTS")
        result = (await on.client.get(f"/jobs/{execution_id}/result")).json()
        assert result["final_state"] == {"user_input": "x", "final_output": "done"}
        assert (result["execution_time"], result["tokens_used"]) == (0.012, 7)
        assert (await on.client.get(f"/executions/{execution_id}")).json()["nodes"]
        assert (await on.client.get(f"/jobs/{execution_id}")).json()["status"] == "COMPLETED"
        assert (await on.client.get(f"/executions/{execution_id}/events")).status_code == 404


async def test_large_values_of_a_recorded_execution_are_put_back(
    nats_url: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with gateway_stage(nats_url, tmp_path) as on, history(on, url):
        state = {"user_input": "x" * 200_000}
        execution_id = (await on.execute(initial_state=state)).json()["execution_id"]
        await eventually(lambda: recorded(on, execution_id))
        detail = (await on.client.get(f"/executions/{execution_id}")).json()
        assert detail["final_state"]["user_input"] == state["user_input"]
        result = (await on.client.get(f"/jobs/{execution_id}/result")).json()
        assert result["final_state"]["user_input"] == state["user_input"]


async def test_lists_are_filtered_paged_and_the_callers_own(nats_url: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with gateway_stage(nats_url, tmp_path) as on, history(on, url):
        started = utc_now().isoformat()
        ids = []
        for number in range(5):
            answer = await on.execute(
                hello("fail" if number == 2 else f"wf{number}"),
                initial_state={"user_input": f"message {number}"},
                tags=["even"] if number % 2 == 0 else ["odd"],
                metadata={"n": number},
            )
            ids.append(answer.json()["execution_id"])
        for execution_id in ids:
            await eventually(partial(recorded, on, execution_id))

        async def listed(**query: Any) -> list[str]:
            page = (await on.client.get("/executions", params=query)).json()
            return [item["execution_id"] for item in page["items"]]

        assert await listed() == ids[::-1]
        assert await listed(status="FAILED") == [ids[2]]
        assert await listed(status=["FAILED", "COMPLETED"]) == ids[::-1]
        assert await listed(tag="odd") == [ids[3], ids[1]]
        assert await listed(metadata="n:4") == [ids[4]]
        assert await listed(text="MESSAGE 1") == [ids[1]]
        assert await listed(workflow_name="wf3") == [ids[3]]
        assert await listed(limit=2, skip=1) == [ids[3], ids[2]]
        assert await listed(**{"from": started}) == ids[::-1]
        assert await listed(to=started) == []
        first = (await on.client.get("/executions", params={"limit": 3})).json()
        second = await listed(limit=3, cursor=first["next_cursor"])
        assert [i["execution_id"] for i in first["items"]] + second == ids[::-1]
        theirs = await on.client.get("/executions", headers=on.as_role("rival"))
        assert theirs.json()["items"] == []


async def test_an_event_this_release_cannot_read_does_not_hide_the_execution(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        execution_id = await on.background(hello("hang"))
        subject = f"{on.bus_settings.prefix}.events.{TENANT}.{execution_id}"
        js = on.nc.jetstream()
        await js.publish(f"{subject}.node.completed", b"rubbish")
        await js.publish(f"{subject}.node.teleported", b"{}")
        detail = await on.client.get(f"/executions/{execution_id}")
        assert (detail.status_code, detail.json()["status"]) == (200, "RUNNING")
        await js.publish(f"{subject}.execution.completed", b"rubbish")
        for path in (f"/executions/{execution_id}", f"/jobs/{execution_id}"):
            assert (await on.client.get(path)).json()["status"] == "RUNNING"
        assert (await on.client.get(f"/jobs/{execution_id}/result")).status_code == 409


async def _attempts(on: GatewayStage, execution_id: str) -> None:
    """Two failed attempts and a third under way."""
    who: dict[str, Any] = {
        "tenant": TENANT,
        "execution_id": ExecutionId(execution_id),
        "node_id": NodeId("slow"),
        "node_type": "api",
    }
    error = NodeError(code="rate_limited", message="slow down", retryable=True)
    for attempt in (1, 2):
        at = utc_now()
        await on.fleet.tell(
            NodeRetrying(
                **who,
                attempt=attempt,
                occurred_at=at,
                started_at=at,
                error=error,
                delay_seconds=1.5,
            )
        )
    await on.fleet.tell(NodeStarted(**who, attempt=3, occurred_at=utc_now(), started_at=utc_now()))
    assert NodeFailed.SUBJECT  # a failed node would end the execution; here it is still trying


async def _ended(on: GatewayStage, execution_id: str) -> bool:
    return (await on.client.get(f"/jobs/{execution_id}/result")).status_code == 200
