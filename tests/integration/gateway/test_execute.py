"""Executing a workflow through REST, on a real bus."""

from pathlib import Path

from tests.support.gateway_stage import gateway_stage, hello


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
