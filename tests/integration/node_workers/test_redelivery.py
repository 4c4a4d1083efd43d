"""A task that comes again: the log is asked before a node is run, and paid for, twice."""

import pytest

from agentflow.bus.consumer import Delivery
from agentflow.contracts.events import NodeCompleted
from agentflow.contracts.tasks import RunNode
from agentflow.node_workers.app import create_app
from agentflow.node_workers.settings import WorkersSettings
from tests.support.stage import Stage, stage
from tests.support.waiting import eventually
from tests.support.workflows import remote, workflow


@pytest.mark.parametrize("stored", [True, False])
async def test_a_worker_that_died_after_telling_is_not_repeated(
    nats_url: str, stored: bool
) -> None:
    """With `stored` False nothing was told: the control, in which the node does run again."""
    async with stage(nats_url, task_ack_wait=60) as on:
        first_tries: list[RunNode] = []

        async def die(task: RunNode, delivery: Delivery) -> None:
            first_tries.append(task)
            if stored:
                await on.complete(task, output="by the first worker")
            await delivery.nak(0.2)

        await on.executor()
        mortal = await on.worker(die)
        # A second node keeps the execution open: an ended one would hide the question.
        asked = await on.execute(workflow([remote("a"), remote("b", pool="nobody")], ("a", "b")))
        await eventually(lambda: first_tries)
        await mortal.stop()
        worker = create_app(WorkersSettings(types=("input",)), on.settings)
        await worker.start()
        on.apps.append(worker)

        async def task_is_gone() -> bool:
            subject = f"{on.settings.prefix}.tasks.input.>"
            info = await on.js.stream_info(f"{on.settings.prefix}_TASKS", subjects_filter=subject)
            return not info.state.subjects

        await eventually(task_is_gone)
        outputs = await _outputs(on, asked.execution_id)
        assert outputs == (["by the first worker"] if stored else [None])


async def _outputs(on: Stage, execution_id: str) -> list[object]:
    log = await on.log(execution_id)
    return [event.output for event in log if isinstance(event, NodeCompleted)]
