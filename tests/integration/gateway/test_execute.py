"""Executing a workflow through REST, on a real bus."""

import asyncio
from pathlib import Path

import httpx
import pytest

from agentflow.bus.definitions import Definitions
from agentflow.contracts.state import is_value_ref
from tests.support.gateway_stage import TENANT, gateway_stage, hello
from tests.support.waiting import eventually

EXECUTE = "/api/v1/workflows/execute"


async def test_a_workflow_runs_and_its_final_state_comes_back(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        answer = await on.execute(initial_state={"user_input": "world"})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["status"] == "success"
        assert body["final_state"] == {"user_input": "world", "final_output": "done"}
        assert body["execution_time"] == 0.012
        assert (body["tokens_used"], body["cost"]) == (7, 0.5)
        assert body["execution_id"].startswith("exec_")


async def test_the_command_says_who_asked_and_keeps_tags_and_metadata(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        more = {"tags": ["a"], "metadata": {"order": 7}, "timeout_seconds": 5}
        answer = await on.client.post(
            EXECUTE, json={"workflow": hello(), **more}, headers={"X-Request-ID": "my-request"}
        )
        command = on.fleet.executed[0]
        assert answer.headers["x-request-id"] == "my-request"
        assert (command.tenant, command.requested_by) == (TENANT, "developer-user")
        assert (command.tags, command.metadata) == (("a",), {"order": 7})
        assert (command.timeout_seconds, command.request_id) == (5, "my-request")


async def test_a_workflow_that_ran_and_failed_is_200_with_the_error(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        answer = await on.execute(hello("fail"))
        assert answer.status_code == 200
        body = answer.json()
        assert (body["status"], body["execution_status"]) == ("error", "FAILED")
        assert (body["error"]["code"], body["error"]["node_id"]) == ("boom", "input")
        assert body["final_state"] == {"a": 1}


async def test_what_is_not_over_after_the_wait_goes_on_as_a_job(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        answer = await on.client.post(EXECUTE + "?wait=0.2", json={"workflow": hello("hang")})
        assert answer.status_code == 202
        job = answer.json()
        assert answer.headers["location"] == job["status_url"]
        status = (await on.client.get(answer.headers["location"])).json()
        assert (status["job_id"], status["status"]) == (job["job_id"], "RUNNING")
        result = await on.client.get(job["result_url"])
        assert (result.status_code, result.json()["code"]) == (409, "execution_running")
        assert on.gateway.feed.waiting_for == 0


async def test_the_wait_of_the_body_is_honoured(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        answer = await on.execute(hello("hang"), wait=0)
        assert answer.status_code == 202


async def test_an_asynchronous_execute_answers_at_once_and_its_result_follows(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        answer = await on.client.post(EXECUTE + "/async", json={"workflow": hello()})
        assert answer.status_code == 202
        job = answer.json()
        assert job["status"] == "PENDING"
        assert job["job_id"] == job["execution_id"]

        async def ended() -> bool:
            return (await on.client.get(job["result_url"])).status_code == 200

        await eventually(ended)
        result = (await on.client.get(job["result_url"])).json()
        assert result["final_state"]["final_output"] == "done"


async def test_an_invalid_spec_is_refused_with_every_error_and_nothing_runs(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        text = b'{\n "initial_state": {},\n "workflow": {"nodes": 7}\n}'
        headers = {"Content-Type": "application/json"}
        answer = await on.client.post(EXECUTE, content=text, headers=headers)
        assert answer.status_code == 400
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["code"] == "invalid_workflow"
        [error] = problem["errors"]
        assert (error["code"], error["pointer"]) == ("schema", "/nodes")
        assert (error["line"], error["column"]) == (3, 15)  # in the body, not in the spec alone
        assert on.fleet.executed == []


async def test_the_validator_is_asked_once_for_the_same_valid_spec(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        for number in range(3):
            await on.execute(initial_state={"n": number})
        assert len(on.fleet.validated) == 1
        await on.execute(hello("another"))
        assert len(on.fleet.validated) == 2
        await on.client.post(EXECUTE, json={"workflow": hello()}, headers=on.as_role("rival"))
        assert len(on.fleet.validated) == 3  # what one tenant validated says nothing to another


async def test_an_invalid_spec_is_asked_about_again(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        for _ in range(2):
            assert (await on.execute({"nodes": 7})).status_code == 400
        assert len(on.fleet.validated) == 2


async def test_a_silent_validator_does_not_stop_executes(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path, validator_timeout_seconds=0.2) as on:
        on.fleet.validator_speaks = False
        assert (await on.execute()).json()["status"] == "success"
        answer = await on.client.post(EXECUTE, json={"workflow": hello("invalid")})
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (400, "invalid_workflow")
        assert problem["errors"][0]["code"] == "cycle"
        assert problem["execution_id"].startswith("exec_")


async def test_a_large_value_travels_by_reference_and_comes_back_whole(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        state = {"user_input": "x" * 300_000, "small": "y"}
        body = (await on.execute(initial_state=state)).json()
        sent = on.fleet.executed[0].initial_state
        assert is_value_ref(sent["user_input"])
        assert sent["small"] == "y"
        assert body["final_state"]["user_input"] == "x" * 300_000


async def test_values_beyond_the_limit_of_an_answer_stay_references(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path, resolve_limit_bytes=150_000) as on:
        state = {"a": "x" * 100_000, "b": "y" * 100_000}
        final = (await on.execute(initial_state=state)).json()["final_state"]
        assert final["a"] == "x" * 100_000
        assert is_value_ref(final["b"])


async def test_another_tenants_value_is_not_resolved(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        await on.execute(initial_state={"secret": "s" * 100_000})
        stolen = on.fleet.executed[0].initial_state["secret"]
        answer = await on.client.post(
            EXECUTE,
            json={"workflow": hello(), "initial_state": {"mine": stolen}},
            headers=on.as_role("rival"),
        )
        assert answer.json()["final_state"]["mine"] == stolen


async def test_a_stored_workflow_runs_by_its_id(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        await Definitions(on.gateway.bus).put_workflow(TENANT, "wf_1", 3, hello())
        answer = await on.client.post(EXECUTE, json={"workflow_id": "wf_1"})
        assert answer.json()["status"] == "success"
        command = on.fleet.executed[0]
        assert (command.workflow_id, command.workflow_version) == ("wf_1", 3)


@pytest.mark.parametrize("named", [{"workflow_id": "nope"}, {"workflow_id": "wf_1", "version": 9}])
async def test_an_unknown_workflow_is_404(
    nats_url: str, tmp_path: Path, named: dict[str, object]
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        await Definitions(on.gateway.bus).put_workflow(TENANT, "wf_1", 3, hello())
        answer = await on.client.post(EXECUTE, json=named)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        rival = await on.client.post(
            EXECUTE, json={"workflow_id": "wf_1"}, headers=on.as_role("rival")
        )
        assert rival.status_code == 404


async def test_a_client_that_leaves_while_waiting_leaves_nothing_behind(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        with pytest.raises(httpx.ReadTimeout):
            await on.client.post(EXECUTE, json={"workflow": hello("hang")}, timeout=0.3)
        await eventually(lambda: on.gateway.feed.waiting_for == 0)


async def test_a_missed_live_message_costs_time_and_no_answer(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path, log_check_seconds=0.1) as on:
        await on.gateway.feed.stop()  # from here the gateway hears nothing live
        answer = await on.execute(wait=20)
        assert answer.json()["status"] == "success"


async def test_without_the_look_into_the_log_a_missed_message_would_cost_the_answer(
    nats_url: str, tmp_path: Path
) -> None:
    """Negative control of the test above: the live feed alone would have missed the end."""
    async with gateway_stage(nats_url, tmp_path, log_check_seconds=300) as on:
        await on.gateway.feed.stop()
        with pytest.raises(httpx.ReadTimeout):
            await on.client.post(EXECUTE, json={"workflow": hello()}, timeout=1)


async def test_many_callers_wait_on_one_subscription(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        answers = await asyncio.gather(
            *(on.execute(initial_state={"n": number}) for number in range(50))
        )
        assert [a.json()["final_state"]["n"] for a in answers] == list(range(50))
        assert len({a.json()["execution_id"] for a in answers}) == 50


async def test_the_paths_without_the_prefix_serve_the_same(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        answer = await on.client.post("/workflows/execute", json={"workflow": hello()})
        assert answer.json()["status"] == "success"
        job = answer.json()["execution_id"]
        assert (await on.client.get(f"/jobs/{job}")).json()["status"] == "COMPLETED"
