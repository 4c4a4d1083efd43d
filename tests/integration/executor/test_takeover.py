"""An executor dies, freezes or is told to stop: another one finishes, and runs nothing twice."""

import asyncio
from functools import partial

from agentflow.bus.consumer import Delivery
from agentflow.contracts.events import (
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionEnded,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionTimedOut,
    NodeCompleted,
)
from agentflow.contracts.tasks import RunNode
from tests.support.nats_server import NatsServer
from tests.support.stage import Stage, crash, stage
from tests.support.waiting import eventually
from tests.support.workflows import chain, fan, remote, workflow


async def test_another_executor_finishes_what_a_killed_one_began(nats_url: str) -> None:
    blocked = asyncio.Event()

    async def run(task: RunNode, _: Delivery) -> None:
        if task.node_id == "n2":
            await blocked.wait()
        await on.complete(task)

    async with stage(nats_url) as on:
        first = await on.executor()
        await on.worker(run)
        asked = await on.execute(chain(5))
        await eventually(lambda: "n2" in [task.node_id for task in on.tasks])
        await crash(first)
        await on.executor()
        blocked.set()
        assert (await asked.result())["status"] == "COMPLETED"
        assert sorted(task.node_id for task in on.tasks) == [f"n{n}" for n in range(5)]
        log = await _log(on, asked.execution_id)
        assert sum(isinstance(event, ExecutionStarted) for event in log) == 1
        assert sum(isinstance(event, ExecutionResumed) for event in log) == 1
        await on.idle()


async def test_nothing_is_lost_when_events_arrive_while_no_executor_lives(nats_url: str) -> None:
    async with stage(nats_url) as on:
        first = await on.executor()
        held: list[RunNode] = []

        async def hold(task: RunNode, _: Delivery) -> None:
            held.append(task)

        await on.worker(hold)
        asked = await on.execute(fan(3))
        await eventually(lambda: len(held) == 1)
        await crash(first)
        await on.complete(held[0])
        await on.executor()
        await eventually(lambda: len(held) == 4)
        for task in held[1:]:
            await on.complete(task)
        await eventually(lambda: len(held) == 5)
        await on.complete(held[4])
        assert (await asked.result())["status"] == "COMPLETED"
        assert len(held) == 5


async def test_a_stopped_executor_hands_its_executions_over(nats_url: str) -> None:
    blocked = asyncio.Event()

    async def run(task: RunNode, _: Delivery) -> None:
        if task.node_id == "n1":
            await blocked.wait()
        await on.complete(task)

    async with stage(nats_url, command_ack_wait=60) as on:
        first = await on.executor(grace=0.1)
        await on.worker(run)
        asked = await on.execute(chain(3))
        await eventually(lambda: "n1" in [task.node_id for task in on.tasks])
        await first.stop()
        await on.executor()
        blocked.set()
        # The lease is 60 s: only a hand-over can be this quick.
        assert (await asked.result(timeout=15))["status"] == "COMPLETED"


async def test_two_executors_on_one_execution_end_it_once(nats_url: str) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        await on.executor()
        await on.worker()
        first = await on.execute(chain(6), execution_id="exec_same")
        second = await on.execute(chain(6), execution_id="exec_same")
        results = [await first.result(), await second.result()]
        assert {result["status"] for result in results} == {"COMPLETED"}
        log = await _log(on, "exec_same")
        assert sum(isinstance(event, ExecutionEnded) for event in log) == 1
        counted = [event.node_id for event in log if isinstance(event, NodeCompleted)]
        assert counted == [f"n{n}" for n in range(6)]
        await on.idle()


async def test_a_cancelled_execution_dispatches_nothing_more(nats_url: str) -> None:
    held: list[RunNode] = []

    async def hold(task: RunNode, _: Delivery) -> None:
        held.append(task)

    async with stage(nats_url) as on:
        await on.executor()
        await on.worker(hold)
        asked = await on.execute(chain(3))
        await eventually(lambda: held)
        await on.cancel(asked.execution_id)
        assert (await asked.result())["status"] == "CANCELLED"
        await on.complete(held[0])
        await on.idle()
        assert len(held) == 1
        log = await _log(on, asked.execution_id)
        assert [type(e) for e in log if isinstance(e, ExecutionEnded)] == [ExecutionCancelled]


async def test_a_cancel_that_comes_before_the_start_wins(nats_url: str) -> None:
    async with stage(nats_url) as on:
        first = await on.executor()
        consumer = next(c for c in first.consumers if "execute" in c.subject.template)
        await consumer.drain(0)
        asked = await on.execute(chain(2))
        await on.cancel(asked.execution_id)
        await eventually(lambda: _log(on, asked.execution_id))
        await on.executor()
        assert (await asked.result())["status"] == "CANCELLED"
        await on.idle()
        assert on.tasks == []


async def test_cancel_against_completion_has_one_winner(nats_url: str) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker()
        asked = [await on.execute(chain(3)) for _ in range(20)]
        await asyncio.gather(*(on.cancel(one.execution_id) for one in asked))
        for one in asked:
            result = await one.result()
            log = await _log(on, one.execution_id)
            ends = [event for event in log if isinstance(event, ExecutionEnded)]
            assert [end.STATUS for end in ends] == [result["status"]]
        await on.idle()


async def test_an_execution_past_its_deadline_names_the_node_and_keeps_what_it_has(
    nats_url: str,
) -> None:
    async def run(task: RunNode, _: Delivery) -> None:
        if task.node_id == "n1":
            await asyncio.sleep(30)
        await on.complete(task)

    async with stage(nats_url) as on:
        await on.executor()
        await on.worker(run)
        asked = await on.execute(chain(3), timeout_seconds=1)
        result = await asked.result()
        assert result["status"] == "TIMED_OUT"
        assert "n1" in result["error"]["message"]
        assert result["final_state"]["outputs"] == {"n0": "done"}
        log = await _log(on, asked.execution_id)
        assert isinstance(log[-1], ExecutionTimedOut)
        await on.idle()


async def test_a_pool_nobody_serves_is_named_when_the_deadline_passes(nats_url: str) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        spec = workflow([remote("a")])
        asked = await on.execute(spec, timeout_seconds=1)
        result = await asked.result()
        assert result["status"] == "TIMED_OUT"
        assert result["error"]["code"] == "no_worker_for_type"
        assert "serve node-workers --types input" in result["error"]["hint"]


async def test_a_restarted_broker_loses_no_execution(
    nats_server: NatsServer, nats_url: str
) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker()
        asked = [await on.execute(chain(20)) for _ in range(20)]
        nats_server.kill()
        await asyncio.sleep(0.3)
        nats_server.start()
        for one in asked:
            await eventually(partial(_ended, on, one.execution_id), timeout=40)
        for one in asked:
            log = await _log(on, one.execution_id)
            assert isinstance(log[-1], ExecutionCompleted)
            first: dict[str, int] = {}
            for event in log:
                if isinstance(event, NodeCompleted):
                    first[event.node_id] = first.get(event.node_id, 0) + 1
            assert len(first) == 20


async def _ended(on: Stage, execution_id: str) -> bool:
    return any(isinstance(event, ExecutionEnded) for event in await _log(on, execution_id))


async def _log(on: Stage, execution_id: str) -> list[Event]:
    for app in on.apps:
        if app.bus.connected:
            on.apps.sort(key=lambda a: not a.bus.connected)
            break
    return await on.log(execution_id)
