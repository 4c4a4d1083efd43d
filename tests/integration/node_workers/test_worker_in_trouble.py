"""Workers whose broker, connection or process goes away."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from nats.js.errors import APIError

from agentflow.bus.bus import utc_now
from agentflow.contracts.events import CancelRequested, NodeCompleted, NodeFailed
from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import WorkflowSpec
from agentflow.contracts.tasks import RunNode
from agentflow.node_workers.call import NodeCall
from agentflow.node_workers.runner import NodeRunner
from tests.integration.node_workers.test_worker import KEY, events_of, llm_workflow, worker
from tests.support.providers.openai_server import OpenAIServer, failing, hanging, saying
from tests.support.servers import NatsServer
from tests.support.stage import TENANT, Stage, stage
from tests.support.waiting import eventually


@pytest.fixture
async def scene(nats_server: NatsServer, clean_environ: None) -> AsyncIterator[Stage]:
    async with stage(nats_server.url) as made:
        await made.executor()
        yield made


@pytest.fixture
async def model() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(key=KEY) as server:
        yield server


async def test_a_result_is_told_after_the_broker_comes_back_and_not_computed_again(
    scene: Stage, nats_server: NatsServer, model: OpenAIServer
) -> None:
    await worker(scene)
    go_on = asyncio.Event()

    async def when_told(request: Any, connection: Any) -> None:
        await go_on.wait()
        await saying("paid for")(request, connection)

    model.script.append(when_told)
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    await eventually(lambda: model.requests)
    nats_server.kill()
    go_on.set()
    await asyncio.sleep(0.5)
    nats_server.start()

    async def is_told() -> Any:
        return await events_of(scene, asked, NodeCompleted)

    (completed,) = await eventually(is_told, timeout=30)
    assert completed.output == "paid for"
    assert len(model.requests) == 1


async def test_a_cancel_that_the_feed_missed_is_found_in_the_log(
    scene: Stage, model: OpenAIServer
) -> None:
    app = await worker(scene)
    model.script.append(hanging())
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    await eventually(lambda: model.requests)
    for hook in list(app.bus.broker.hooks._on_gap):
        hook()  # a gap in which nothing happened ends nothing
    await asyncio.sleep(0.3)
    assert model.disconnects == 0
    # The worker is deaf: its subscriptions are gone.
    for subscription in list(app.bus.nc._subs.values()):
        if ".live." in subscription.subject:
            await subscription.unsubscribe()
    requested = CancelRequested(
        tenant=TenantId(TENANT),
        execution_id=ExecutionId(asked.execution_id),
        occurred_at=utc_now(),
    )
    await scene.publish(requested.subject(scene.settings.prefix), requested.encode())
    await asyncio.sleep(0.3)
    assert model.disconnects == 0
    await app.bus.broker.hooks.reconnected()
    await eventually(lambda: model.disconnects == 1)


async def test_a_task_of_an_execution_that_has_ended_is_dropped(
    scene: Stage, model: OpenAIServer
) -> None:
    """The cancel comes while the task waits for a worker that hears of it first."""
    app = await worker(scene, types=("db",))
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    await scene.cancel(asked.execution_id)
    assert (await asked.result())["status"] == "CANCELLED"
    await worker(scene, types=("llm",))
    await scene.idle()
    assert model.requests == []
    assert app.consumers[0].in_hand == 0


async def test_sigterm_hands_the_node_back_and_ends_with_zero(
    scene: Stage, model: OpenAIServer
) -> None:
    model.script += [hanging(), saying("by another")]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from agentflow.node_workers.app import main; main()",
        env={
            **os.environ,
            "AGENTFLOW_NATS_URL": scene.url,
            "AGENTFLOW_BUS_PREFIX": scene.settings.prefix,
            "AGENTFLOW_BUS_COMMAND_ACK_WAIT": "2",
            "AGENTFLOW_BUS_TASK_ACK_WAIT": "2",
            "AGENTFLOW_WORKERS_TYPES": "llm",
            "AGENTFLOW_WORKERS_EGRESS_ALLOW": "loopback",
            "AGENTFLOW_WORKERS_SHUTDOWN_GRACE_SECONDS": "0.5",
            f"AGENTFLOW_SECRETS_{TENANT.upper()}": "MODEL_KEY",
            "MODEL_KEY": KEY,
        },
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    await eventually(lambda: model.requests, timeout=30)
    process.send_signal(signal.SIGTERM)
    _, said = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 0, said.decode()
    assert KEY not in said.decode()
    await worker(scene)
    assert (await asked.result())["final_state"]["text_result"] == "by another"


async def test_a_worker_without_a_broker_says_so_and_does_not_start() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "from agentflow.node_workers.app import main; main()",
        env={**os.environ, "AGENTFLOW_NATS_URL": "nats://127.0.0.1:9"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    assert "cannot start" in said.decode()
    assert "127.0.0.1:9" in said.decode()


async def test_no_key_is_on_the_bus_or_in_a_log(
    scene: Stage, model: OpenAIServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Good, failed, cut and malformed runs; then every stored message is searched."""
    await worker(scene)
    model.script += [
        saying(None),
        failing(401, f"Incorrect API key provided: {KEY}"),
        failing(400, f"bad request with {KEY}"),
    ]
    for _ in range(3):
        asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
        await asked.result()
    assert await events_of(scene, asked, NodeFailed)
    nowhere = llm_workflow(model, config={"api_key_env": "OTHER_KEY"})
    refused = await scene.execute(nowhere, {"user_input": "hi"})
    assert (await refused.result())["error"]["code"] == "secret_not_found"
    prefix = scene.settings.prefix
    await scene.publish(f"{prefix}.tasks.llm.{TENANT}.x.y", b"junk")

    seen = []
    for stream in ("EVENTS", "DEAD", "TASKS", "COMMANDS", "AUDIT"):
        state = (await scene.js.stream_info(f"{prefix}_{stream}")).state
        for sequence in range(state.first_seq, state.last_seq + 1) if state.messages else ():
            stored = await scene.js.get_msg(f"{prefix}_{stream}", sequence)
            seen.append(stored.subject)
            assert KEY not in repr((stored.data, stored.headers, stored.subject)), stored.subject
    assert len(seen) > 10
    out, err = capfd.readouterr()
    assert KEY not in out + err
    assert any(KEY in repr(request.headers) for request in model.requests)  # it did travel


def task_for(scene: Stage, execution_id: str) -> RunNode:
    """A task of no executor's, for a demo model."""
    spec = WorkflowSpec.model_validate(llm_workflow())
    return RunNode(
        tenant=TenantId(TENANT),
        execution_id=ExecutionId(execution_id),
        node_id=NodeId("ask"),
        pool="llm",
        node=spec.nodes[0],
        source=spec.sources[0],
        state={"user_input": "hi"},
        deadline=utc_now() + timedelta(minutes=5),
        dispatched_at=utc_now(),
        effect_key=f"{execution_id}.ask",
    )


async def fill(scene: Stage, payload: bytes) -> None:
    """Publish events until the stream refuses one."""
    for _ in range(10_000):
        subject = f"{scene.settings.prefix}.events.{TENANT}.other.node.started"
        await scene.publish(subject, payload)


async def test_a_result_waits_for_room_in_a_full_log(nats_url: str, clean_environ: None) -> None:
    async with stage(nats_url, events_max_mib=1) as scene:
        await worker(scene)
        prefix = scene.settings.prefix
        for size in (50_000, 100):
            with pytest.raises(APIError):
                await fill(scene, b"x" * size)
        task = task_for(scene, "exec_full")
        await scene.publish(task.subject(prefix), task.encode())
        await asyncio.sleep(1)
        assert (await scene.js.stream_info(f"{prefix}_TASKS")).state.messages == 1
        await scene.js.purge_stream(f"{prefix}_EVENTS")

        async def is_told() -> Any:
            return [e for e in await scene.log("exec_full") if isinstance(e, NodeCompleted)]

        (completed,) = await eventually(is_told, timeout=20)
        assert completed.attempt == 1
        await scene.idle()


class Chatty:
    """A node type with very many writes."""

    async def run(self, call: NodeCall) -> NodeResult:  # noqa: ARG002 - the protocol's name
        return NodeResult(output="ok", writes={f"k{n}": "x" * 10_000 for n in range(2_000)})

    async def aclose(self) -> None:
        """Holds nothing."""


async def test_an_event_over_the_servers_limit_fails_its_node_alone(
    nats_url: str, clean_environ: None
) -> None:
    async with stage(nats_url) as scene:
        await worker(scene, runner=NodeRunner({"llm": Chatty()}))
        task = task_for(scene, "exec_chatty")
        await scene.publish(task.subject(scene.settings.prefix), task.encode())
        await scene.idle()
        (failed,) = [e for e in await scene.log("exec_chatty") if isinstance(e, NodeFailed)]
        assert failed.error.code == "payload_too_large"
        assert scene.apps[0].bus.connected
