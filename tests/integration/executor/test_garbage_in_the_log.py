"""What nobody can read in an execution's log is passed over: by the run, by whoever takes it
over, by cancels, and by a worker that asks whether a node is resolved.
"""

import asyncio
import json

import pytest

from agentflow.bus.consumer import Delivery
from agentflow.contracts.tasks import RunNode
from tests.support.stage import TENANT, Stage, crash, stage
from tests.support.waiting import eventually
from tests.support.workflows import chain

VERBS = (
    "node.completed",
    "node.failed",
    "node.exploded",
    "execution.resumed",
    "execution.cancel_requested",
    "execution.completed",
)


async def litter(on: Stage, execution_id: str) -> None:
    """Garbage on every kind of subject of the execution, and another's event among it."""
    log = f"{on.settings.prefix}.events.{TENANT}.{execution_id}"
    elsewhere = {
        "tenant": TENANT,
        "execution_id": "another",
        "node_id": "n1",
        "node_type": "input",
        "occurred_at": "2026-11-21T00:00:00Z",
        "output": "another's",
    }
    zoneless = {**elsewhere, "execution_id": execution_id, "occurred_at": "2026-11-21T00:00:00"}
    for verb in VERBS:
        for body in (b"", b"\xff", b"[" * 1000, b'{"node_id": "n1"}'):
            await on.publish(f"{log}.{verb}", body)
    for event in (elsewhere, zoneless):
        await on.publish(f"{log}.node.completed", json.dumps(event).encode())


async def test_a_run_ends_as_if_the_garbage_were_not_there(nats_url: str) -> None:
    going = asyncio.Event()

    async def run(task: RunNode, _: Delivery) -> None:
        await going.wait()
        await on.complete(task, "real")

    async with stage(nats_url) as on:
        await on.executor()
        await on.worker(run)
        asked = await on.execute(chain(3))
        await eventually(lambda: on.tasks)
        await litter(on, asked.execution_id)
        going.set()
        result = await asked.result()
        assert result["status"] == "COMPLETED"
        assert result["final_state"]["outputs"]["n1"] == "real"
        await on.idle()


async def test_whoever_takes_over_reads_past_the_garbage(nats_url: str) -> None:
    going = asyncio.Event()

    async def run(task: RunNode, _: Delivery) -> None:
        if task.node_id == "n1":
            await going.wait()
        await on.complete(task, "real")

    async with stage(nats_url) as on:
        first = await on.executor()
        await on.worker(run)
        asked = await on.execute(chain(3))
        await eventually(lambda: "n1" in [task.node_id for task in on.tasks])
        await litter(on, asked.execution_id)
        await crash(first)
        await on.executor()
        going.set()
        assert (await asked.result())["status"] == "COMPLETED"
        assert sorted(task.node_id for task in on.tasks) == ["n0", "n1", "n2"]
        await on.idle()


async def test_a_cancel_is_heard_over_the_garbage(nats_url: str) -> None:
    async def never(task: RunNode, _: Delivery) -> None:
        await asyncio.sleep(3600)

    async with stage(nats_url) as on:
        await on.executor()
        await on.worker(never)
        asked = await on.execute(chain(3))
        await eventually(lambda: on.tasks)
        await litter(on, asked.execution_id)
        await on.cancel(asked.execution_id)
        assert (await asked.result())["status"] == "CANCELLED"


@pytest.mark.parametrize("resolved", [False, True])
async def test_the_log_says_whether_a_node_is_resolved_garbage_or_not(
    nats_url: str, resolved: bool
) -> None:
    async def run(task: RunNode, _: Delivery) -> None:
        if resolved:
            await on.complete(task)

    async with stage(nats_url) as on:
        executor = await on.executor()
        await on.worker(run)
        asked = await on.execute(chain(1) if not resolved else chain(2))
        await eventually(lambda: on.tasks)
        log = f"{on.settings.prefix}.events.{TENANT}.{asked.execution_id}"
        for body in (b"", b"\xff", b"null"):
            await on.publish(f"{log}.node.completed", body)
        found = await executor.bus.log.node_resolved(TENANT, asked.execution_id, "n0")
        assert found is resolved
