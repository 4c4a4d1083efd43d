"""Whatever goes wrong on the way, an accepted execution comes to its one end (G1, G3, G8)."""

import asyncio
from itertools import pairwise
from typing import Any

import orjson
import pytest
from nats.js.errors import APIError

from agentflow.bus import pull_loop
from agentflow.bus.bus import utc_now
from agentflow.bus.consumer import Delivery
from agentflow.bus.definitions import Definitions
from agentflow.contracts.events import (
    CancelRequested,
    Event,
    ExecutionCancelled,
    ExecutionEnded,
    ExecutionResumed,
    NodeCompleted,
)
from agentflow.contracts.ids import ExecutionId, TenantId
from agentflow.contracts.tasks import RunNode
from agentflow.executor import handlers
from agentflow.executor.run import ExecutionRun
from tests.support.stage import TENANT, Stage, crash, stage
from tests.support.waiting import eventually
from tests.support.workflows import chain, fan, remote, workflow

BROKEN = {"name": "broken", "start_node": "nowhere", "nodes": [], "edges": []}
ASKS_A_SOURCE = workflow(
    [remote("a"), {"id": "b", "type": "llm", "metadata": {"source_id": "stored", "prompt": "hi"}}],
    ("a", "b"),
)


class Held:
    """A worker's tasks, kept until the test lets them go."""

    def __init__(self, on: Stage) -> None:
        self._on = on
        self.tasks: list[RunNode] = []
        self.released = asyncio.Event()

    async def run(self, task: RunNode, _: Delivery) -> None:
        self.tasks.append(task)
        await self.released.wait()
        await self._on.complete(task)


async def ends(on: Stage, execution_id: str) -> list[ExecutionEnded]:
    on.apps.sort(key=lambda app: not app.bus.connected)
    return [e for e in await on.log(execution_id) if isinstance(e, ExecutionEnded)]


async def by_id(on: Stage, workflow_id: str) -> str:
    """Execute a stored workflow in whatever version is the latest; its execution id."""
    execution_id = f"exec_of_{workflow_id}"
    body = {"workflow_id": workflow_id, "execution_id": execution_id}
    subject = f"{on.settings.prefix}.commands.{TENANT}.execute"
    await on.publish(subject, orjson.dumps(body))
    return execution_id


async def test_a_final_state_no_message_can_hold_ends_the_execution(nats_url: str) -> None:
    names = [f"{number:02}".ljust(100, "x") for number in range(20)]
    spec = workflow([remote(name) for name in names], *pairwise(names))
    limit = 8 * 1024 * 1024 - 4096
    completed = too_large = 0
    async with stage(nats_url) as on:
        executor = await on.executor()
        await on.worker()
        await Definitions(executor.bus).put_workflow(TENANT, "wf", 1, spec)
        for room in (12_000, 2_600, 2_000, 1_500):
            # Values of a few bytes: nothing of this can go by reference.
            state = {f"k{number:06}": "x" * 500 for number in range((limit - room) // 513)}
            asked = await on.execute(None, state, workflow_id="wf")
            result = await asked.result()
            if result["status"] == "COMPLETED":
                completed += 1
            else:
                assert result["error"]["code"] == "payload_too_large"
                too_large += 1
            assert len(await ends(on, asked.execution_id)) == 1
            await on.idle()
    assert completed, "the first of these should have fitted"
    assert too_large, "the last of these should not have fitted"


async def test_a_workflow_changed_meanwhile_is_finished_in_the_version_it_began_with(
    nats_url: str,
) -> None:
    async with stage(nats_url) as on:
        held = Held(on)
        first = await on.executor()
        await on.worker(held.run)
        definitions = Definitions(first.bus)
        await definitions.put_workflow(TENANT, "wf", 1, chain(2))
        execution_id = await by_id(on, "wf")
        await eventually(lambda: held.tasks)
        await definitions.put_workflow(TENANT, "wf", 2, chain(4))
        await crash(first)
        await on.executor()
        held.released.set()
        await eventually(lambda: ends(on, execution_id), timeout=20)
        log = await on.log(execution_id)
        assert [e.node_id for e in log if isinstance(e, NodeCompleted)] == ["n0", "n1"]
        assert (await ends(on, execution_id))[0].STATUS == "COMPLETED"


async def test_a_workflow_deleted_meanwhile_is_finished(nats_url: str) -> None:
    async with stage(nats_url) as on:
        held = Held(on)
        first = await on.executor()
        await on.worker(held.run)
        definitions = Definitions(first.bus)
        await definitions.put_workflow(TENANT, "wf", 1, chain(2))
        execution_id = await by_id(on, "wf")
        await eventually(lambda: held.tasks)
        await definitions.delete_workflow(TENANT, "wf")
        await crash(first)
        await on.executor()
        held.released.set()
        await eventually(lambda: ends(on, execution_id), timeout=20)
        assert [end.STATUS for end in await ends(on, execution_id)] == ["COMPLETED"]


async def test_a_source_deleted_meanwhile_fails_what_can_not_go_on(nats_url: str) -> None:
    async with stage(nats_url) as on:
        held = Held(on)
        first = await on.executor()
        await on.worker(held.run)
        definitions = Definitions(first.bus)
        source = {"id": "stored", "kind": "llm", "config": {"provider": "demo"}}
        await definitions.put_source(TENANT, "stored", source)
        asked = await on.execute(ASKS_A_SOURCE)
        await eventually(lambda: held.tasks)
        await definitions.delete_source(TENANT, "stored")
        await crash(first)
        await on.executor()
        await asked.reply("problem")
        found = await ends(on, asked.execution_id)
        assert [end.STATUS for end in found] == ["FAILED"]
        held.released.set()
        await on.idle()


async def test_a_stored_source_nobody_can_read_fails_at_once(nats_url: str) -> None:
    async with stage(nats_url) as on:
        executor = await on.executor()
        await Definitions(executor.bus).put_source(TENANT, "stored", {"kind": "nonsense"})
        asked = await on.execute(ASKS_A_SOURCE)
        assert (await asked.reply("problem"))["code"] == "invalid_workflow"
        assert [end.STATUS for end in await ends(on, asked.execution_id)] == ["FAILED"]


async def test_a_broken_workflow_cancelled_before_it_began_ends(nats_url: str) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        await on.cancel("exec_broken")
        await eventually(lambda: on.log("exec_broken"))
        asked = await on.execute(BROKEN, execution_id="exec_broken")
        await asked.reply("problem")
        assert len(await ends(on, "exec_broken")) == 1
        await on.idle()


@pytest.mark.parametrize("other", [chain(5), BROKEN])
async def test_an_id_that_is_taken_is_refused_and_its_execution_goes_on(
    nats_url: str, other: Any
) -> None:
    async with stage(nats_url) as on:
        held = Held(on)
        await on.executor()
        await on.executor()
        await on.worker(held.run)
        asked = await on.execute(chain(2), execution_id="exec_same")
        await eventually(lambda: held.tasks)
        again = await on.execute(other, execution_id="exec_same")
        problem = await again.reply("problem")
        assert problem["code"] in ("execution_id_taken", "invalid_workflow")
        held.released.set()
        assert (await asked.result())["status"] == "COMPLETED"
        log = await on.log("exec_same")
        assert not [event for event in log if isinstance(event, ExecutionResumed)]
        assert [e.node_id for e in log if isinstance(e, NodeCompleted)] == ["n0", "n1"]
        late = await on.execute(other, execution_id="exec_same")
        assert (await late.reply("problem"))["code"] == problem["code"]
        assert len(await ends(on, "exec_same")) == 1


async def test_tasks_of_an_execution_whose_executor_died_at_its_end_are_taken_back(
    nats_url: str,
) -> None:
    async with stage(nats_url) as on:
        first = await on.executor()
        asked = await on.execute(workflow([remote("a")]))
        await eventually(lambda: _count(on, "TASKS"))
        await crash(first)
        for kind in (CancelRequested, ExecutionCancelled):
            await _store(on, kind, asked.execution_id)
        await on.executor()
        assert (await asked.result())["status"] == "CANCELLED"
        await on.idle()


async def test_an_executor_that_fails_at_one_execution_ends_it_and_says_so(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ExecutionRun.carry_out

    async def stumble(run: Any) -> ExecutionEnded:
        if run._order.execution_id == "exec_bad":
            await run._begin()
            raise KeyError("a bug of ours")
        return await real(run)

    monkeypatch.setattr(ExecutionRun, "carry_out", stumble)
    monkeypatch.setattr(handlers, "MAX_HANDLER_FAILURES", 3)
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker()
        asked = await on.execute(chain(2), execution_id="exec_bad")
        await eventually(lambda: ends(on, "exec_bad"), timeout=20)
        found = await ends(on, "exec_bad")
        assert [end.error.code for end in found if end.error] == ["internal_error"]
        assert (await asked.reply("problem"))["code"] == "internal_error"
        await eventually(lambda: _count(on, "DEAD"))
        good = await on.execute(chain(2))
        assert (await good.result())["status"] == "COMPLETED"


async def test_a_log_that_stays_full_loses_nothing(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_loop, "MAX_HANDLER_FAILURES", 2)
    monkeypatch.setattr(handlers, "MAX_HANDLER_FAILURES", 2)
    monkeypatch.setattr(pull_loop, "backoff", lambda _: 0.3)
    async with stage(nats_url, events_max_mib=1) as on:
        executor = await on.executor()
        await on.worker()
        stuffing = f"{on.settings.prefix}.events.other.exec_full.node.started"
        await on.publish(stuffing, b"x" * 1_000_000)
        for _ in range(100):
            try:
                await on.publish(stuffing, b"x" * 1000)
            except APIError:
                break
        asked = [await on.execute(fan(3)) for _ in range(3)]
        await asyncio.sleep(3)
        assert await _count(on, "DEAD") == 0
        await on.js.purge_stream(f"{on.settings.prefix}_EVENTS", subject=stuffing)
        for one in asked:
            assert (await one.result(timeout=30))["status"] == "COMPLETED"
        assert executor.bus.connected
        await on.idle()


async def _count(on: Stage, stream: str) -> int:
    return (await on.js.stream_info(f"{on.settings.prefix}_{stream}")).state.messages


async def _store(on: Stage, kind: type[Event], execution_id: str) -> None:
    more: dict[str, Any] = {}
    if issubclass(kind, ExecutionEnded):
        more = {"final_state": {}, "duration_ms": 1.0}
    event = kind(
        tenant=TenantId(TENANT),
        execution_id=ExecutionId(execution_id),
        occurred_at=utc_now(),
        **more,
    )
    await on.publish(event.subject(on.settings.prefix), event.encode())
