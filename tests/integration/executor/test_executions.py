"""What an executor promises a caller, on a real nats-server."""

import asyncio
import base64
from typing import Any

import orjson
import pytest

from agentflow.bus.consumer import Delivery
from agentflow.contracts.audits import DeadLetter
from agentflow.contracts.events import (
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    NodeCompleted,
    NodeSkipped,
)
from agentflow.contracts.tasks import RunNode
from tests.support.stage import TENANT, Stage, stage
from tests.support.waiting import eventually
from tests.support.workflows import chain, fan, remote, workflow


async def test_a_fan_runs_every_node_once_and_tells_the_caller(nats_url: str) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker()
        asked = await on.execute(fan(), {"user_input": "hi"})
        assert (await asked.reply("accepted"))["execution_id"] == asked.execution_id
        result = await asked.result()
        assert result["status"] == "COMPLETED"
        assert result["final_state"]["user_input"] == "hi"
        assert sorted(task.node_id for task in on.tasks) == sorted(
            ["a", "z", *(f"b{n}" for n in range(8))]
        )
        await on.idle()


async def test_the_log_starts_once_ends_once_and_holds_every_node(nats_url: str) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker()
        asked = await on.execute(chain(4))
        await asked.result()
        log = await on.log(asked.execution_id)
        assert isinstance(log[0], ExecutionStarted)
        assert isinstance(log[-1], ExecutionCompleted)
        assert [e.node_id for e in log if isinstance(e, NodeCompleted)] == ["n0", "n1", "n2", "n3"]


async def test_a_successor_starts_while_an_unrelated_sibling_still_runs(nats_url: str) -> None:
    release = asyncio.Event()

    async def run(task: RunNode, _: Delivery) -> None:
        if task.node_id == "slow":
            await release.wait()
        await on.complete(task)

    nodes = [remote(n) for n in ("a", "slow", "fast", "after_fast", "join")]
    spec = workflow(
        nodes,
        ("a", ["slow", "fast"]),
        ("fast", "after_fast"),
        ("after_fast", "join"),
        ("slow", "join"),
    )
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker(run)
        asked = await on.execute(spec)
        await eventually(lambda: "after_fast" in [t.node_id for t in on.tasks])
        assert "join" not in [task.node_id for task in on.tasks]
        release.set()
        await asked.result()
        order = [
            str(e.node_id) for e in await on.log(asked.execution_id) if isinstance(e, NodeCompleted)
        ]
        assert order.index("after_fast") < order.index("slow") < order.index("join")


async def test_a_second_completion_of_a_node_changes_nothing(nats_url: str) -> None:
    async def run(task: RunNode, _: Delivery) -> None:
        await on.complete(task, output=f"{task.node_id} first")
        await on.complete(task, output=f"{task.node_id} second", attempt=2)

    async with stage(nats_url) as on:
        await on.executor()
        await on.worker(run)
        asked = await on.execute(chain(3))
        outputs = (await asked.result())["final_state"]["outputs"]
        assert outputs == {f"n{n}": f"n{n} first" for n in range(3)}
        assert len(on.tasks) == 3


async def test_pure_nodes_are_decided_without_a_worker(nats_url: str) -> None:
    spec = workflow(
        [
            {"id": "in", "type": "input"},
            {
                "id": "route",
                "type": "router",
                "metadata": {
                    "strategy": "keyword",
                    "routes": [{"intent": "yes", "keywords": ["good"]}],
                    "default_intent": "no",
                },
            },
            {"id": "yes", "type": "aggregator", "metadata": {"strategy": "merge"}},
            {"id": "no", "type": "aggregator", "metadata": {"strategy": "merge"}},
        ],
        ("in", "route"),
    )
    spec["edges"].append({"from": "route", "to": ["yes", "no"], "condition": "intent"})
    async with stage(nats_url) as on:
        await on.executor()
        asked = await on.execute(spec, {"user_input": "a good day"})
        state = (await asked.result())["final_state"]
        assert state["intent"] == "yes"
        assert state["execution_path"] == ["in", "route", "yes"]
        skipped = [e for e in await on.log(asked.execution_id) if isinstance(e, NodeSkipped)]
        assert [e.node_id for e in skipped] == ["no"]


async def test_a_broken_workflow_gets_all_its_problems_and_a_failed_execution(
    nats_url: str,
) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        spec = workflow([remote("a"), remote("a")], ("a", "nowhere"))
        asked = await on.execute(spec)
        problem = await asked.reply("problem")
        codes = {issue["code"] for issue in problem["errors"]}
        assert {"duplicate_id", "unknown_edge_target"} <= codes
        assert problem["status"] == 400
        log = await on.log(asked.execution_id)
        assert [type(event) for event in log] == [ExecutionFailed]
        await on.idle()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[1, 2]",
        b'{"workflow": {}, "workflow_id": "both"}',
        b'{"initial_state": {}}',
        b'{"workflow": {"x": NaN}}',
        b'{"workflow": {"x": "\\u0000"}}',
        b"[" * 100_000,
        b'{"workflow": {}, "initial_state": 7}',
        b'{"workflow": {}, "tenant": "someone-else"}',
    ],
)
async def test_an_unreadable_command_is_answered_buried_and_hurts_nobody(
    nats_url: str, body: bytes
) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker()
        inbox = on.nc.new_inbox()
        answers = await on.nc.subscribe(inbox)
        subject = f"{on.settings.prefix}.commands.{TENANT}.execute"
        await on.publish(subject, body, **{"Agentflow-Reply-To": inbox})
        problem = orjson.loads((await answers.next_msg(timeout=5)).data)
        assert problem["code"]
        assert problem["detail"]
        letter = await _only_dead_letter(on)
        assert base64.b64decode(letter.payload_base64) == body
        assert letter.origin_subject == subject
        assert (await (await on.execute(chain(2))).result())["status"] == "COMPLETED"
        await on.idle()


async def test_an_answer_never_goes_to_a_subject_of_the_bus_itself(nats_url: str) -> None:
    """A reply subject is the caller's word; it must not let him forge events."""
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker()
        forged = f"{on.settings.prefix}.events.{TENANT}.victim.execution.completed"
        asked = await on.execute(chain(1), reply_to=forged)
        await eventually(lambda: on.log(asked.execution_id))
        await on.idle()
        assert await on.log("victim") == []


async def test_without_an_execution_id_the_command_still_runs_once(nats_url: str) -> None:
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker()
        inbox = on.nc.new_inbox()
        answers = await on.nc.subscribe(inbox)
        body = orjson.dumps({"workflow": chain(2), "reply_to": inbox})
        await on.publish(f"{on.settings.prefix}.commands.{TENANT}.execute", body)
        accepted = orjson.loads((await answers.next_msg(timeout=5)).data)
        result = orjson.loads((await answers.next_msg(timeout=5)).data)
        assert accepted["execution_id"] == result["execution_id"]
        assert accepted["execution_id"].startswith("exec_")


async def test_large_values_travel_by_reference_and_arrive_whole(nats_url: str) -> None:
    big = "x" * 3_000_000
    spec = workflow(
        [
            {"id": "in", "type": "input"},
            {
                "id": "sum",
                "type": "aggregator",
                "metadata": {"strategy": "select", "source_keys": ["doc"]},
            },
        ],
        ("in", "sum"),
    )
    async with stage(nats_url) as on:
        await on.executor()
        asked = await on.execute(spec, {"doc": big})
        state: dict[str, Any] = (await asked.result())["final_state"]
        assert state["doc"]["$ref"].startswith(f"agentflow-object:{TENANT}/")
        assert state["doc"]["size"] > 3_000_000
        assert len(orjson.dumps(state)) < 10_000


async def _only_dead_letter(on: Stage) -> DeadLetter:
    stream = f"{on.settings.prefix}_DEAD"

    async def is_there() -> bool:
        return (await on.js.stream_info(stream)).state.messages == 1

    await eventually(is_there)
    return DeadLetter.decode((await on.js.get_msg(stream, 1)).data or b"")
