"""The log decides, also between what an executor decides itself and what workers say (G9)."""

import asyncio

from agentflow.bus.consumer import Delivery
from agentflow.contracts.events import NodeCompleted
from agentflow.contracts.tasks import RunNode
from tests.support.stage import stage
from tests.support.waiting import eventually
from tests.support.workflows import remote, workflow

RACE = workflow(
    [
        remote("start"),
        remote("slow"),
        {
            "id": "pure",
            "type": "router",
            "metadata": {"strategy": "default", "default_intent": "p"},
        },
        remote("worked"),
        remote("either", join="any"),
    ],
    ("start", ["slow", "worked"]),
    ("slow", "pure"),
    ("pure", "either"),
    ("worked", "either"),
)


async def test_an_any_join_opens_for_the_first_in_the_log_whoever_decided_it(
    nats_url: str,
) -> None:
    """`worked` is in the log before `pure`, which the executor decides before it hears of it."""
    seen: dict[str, RunNode] = {}
    held: dict[str, RunNode] = {}

    async def run(task: RunNode, _: Delivery) -> None:
        if task.node_id in ("slow", "worked"):
            held[task.node_id] = task
        else:
            seen[task.node_id] = task
            await on.complete(task)

    async with stage(nats_url) as on:
        await on.executor()
        await on.worker(run)
        asked = await on.execute(RACE)
        await eventually(lambda: len(held) == 2)
        # Both are stored before the executor has had its turn with the first.
        await asyncio.gather(on.complete(held["slow"]), on.complete(held["worked"]))
        assert (await asked.result())["status"] == "COMPLETED"
        log = await on.log(asked.execution_id)
        order = [str(e.node_id) for e in log if isinstance(e, NodeCompleted)]
        assert order.index("worked") < order.index("pure"), "the race did not come about"
        outputs = seen["either"].state["outputs"]
        assert set(outputs) == {"start", "worked"}
