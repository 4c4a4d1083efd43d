"""Tasks nobody will ever run do not stay."""

from datetime import timedelta

import pytest

from agentflow.bus.bus import utc_now
from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.contracts.spec import Node
from agentflow.contracts.tasks import RunNode
from tests.support.stage import TENANT, Stage, stage
from tests.support.waiting import eventually


@pytest.mark.parametrize("pool", ["input", "nobody"])
async def test_a_task_past_its_deadline_is_taken_away_and_others_stay(
    nats_url: str, pool: str
) -> None:
    async with stage(nats_url) as on:
        await _publish(on, "stale", pool, timedelta(minutes=-5))
        await _publish(on, "fresh", pool, timedelta(minutes=5))
        await on.executor(sweep_every=0.05)

        async def one_is_left() -> bool:
            return (await on.js.stream_info(f"{on.settings.prefix}_TASKS")).state.messages == 1

        await eventually(one_is_left)
        left = await on.js.get_msg(f"{on.settings.prefix}_TASKS", 2)
        assert RunNode.decode(left.data or b"").execution_id == "fresh"


async def _publish(on: Stage, execution_id: str, pool: str, left: timedelta) -> None:
    task = RunNode(
        tenant=TenantId(TENANT),
        execution_id=ExecutionId(execution_id),
        node_id=NodeId("a"),
        pool=pool,
        node=Node(id="a", type="input", pool=pool),
        state={},
        deadline=utc_now() + left,
        dispatched_at=utc_now(),
        effect_key=f"{execution_id}.a",
    )
    await on.publish(task.subject(on.settings.prefix), task.encode())
