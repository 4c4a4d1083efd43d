"""Workers on a real nats-server, with a real executor where one is needed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentflow.bus.service import ServiceApp
from agentflow.contracts.events import (
    Event,
    NodeCancelled,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeStarted,
    NodeTimedOut,
)
from agentflow.node_workers.app import create_app, make_runner
from agentflow.node_workers.runner import NodeRunner
from agentflow.node_workers.settings import WorkersSettings
from tests.support.providers.openai_server import OpenAIServer, failing, hanging, saying
from tests.support.stage import TENANT, Asked, Stage, stage
from tests.support.waiting import eventually

KEY = "sk-canary-0123456789abcdef"


@pytest.fixture
async def scene(nats_url: str, clean_environ: None) -> AsyncIterator[Stage]:
    """Streams on a fresh server, and an executor."""
    async with stage(nats_url) as made:
        await made.executor()
        yield made


@pytest.fixture
async def model() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(key=KEY) as server:
        yield server


async def worker(
    scene: Stage, tmp_path: Path | None = None, runner: NodeRunner | None = None, **more: Any
) -> ServiceApp:
    """A running worker of all pools with loopback open."""
    settings = WorkersSettings(
        egress_allow=("loopback",),
        sqlite_directories=(str(tmp_path) if tmp_path else ".",),
        shutdown_grace_seconds=more.pop("grace", 1.0),
        **more,
    )
    environ = {
        "MODEL_KEY": KEY,
        f"AGENTFLOW_SECRETS_{TENANT.upper()}": "MODEL_KEY",
    }
    app = create_app(settings, scene.settings, runner or make_runner(settings, environ))
    await app.start()
    scene.apps.append(app)
    return app


def llm_workflow(model: OpenAIServer | None = None, **node: Any) -> dict[str, Any]:
    """One llm node `ask` with its source; `node` holds settings of the node."""
    config: dict[str, Any] = {"provider": "demo"}
    if model is not None:
        config = {
            "provider": "openai",
            "model": "gpt-4o-mini",
            "base_url": model.base_url,
            "api_key_env": "MODEL_KEY",
        }
    config |= node.pop("config", {})
    metadata = {"prompt": "{user_input}", "source_id": "s", **node.pop("metadata", {})}
    return {
        "name": "one",
        "start_node": "ask",
        "nodes": [{"id": "ask", "type": "llm", "metadata": metadata, **node}],
        "sources": [{"id": "s", "kind": "llm", "config": config}],
    }


async def events_of(scene: Stage, asked: Asked, kind: type[Event]) -> list[Any]:
    return [event for event in await scene.log(asked.execution_id) if type(event) is kind]


async def test_a_node_is_run_and_its_result_told(scene: Stage, model: OpenAIServer) -> None:
    await worker(scene)
    model.script.append(saying("hello there"))
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    result = await asked.result()
    assert result["status"] == "COMPLETED"
    assert result["final_state"]["text_result"] == "hello there"
    assert result["tokens_used"] == 3
    (completed,) = await events_of(scene, asked, NodeCompleted)
    assert completed.worker_id
    assert completed.queue_wait_ms is not None
    assert model.requests[0].headers["idempotency-key"] == f"{asked.execution_id}.ask"
    await scene.idle()


async def test_a_start_is_told_only_of_nodes_that_take_a_while(
    scene: Stage, model: OpenAIServer
) -> None:
    await worker(scene, started_after_seconds=0.5)
    asked = await scene.execute(llm_workflow(), {"user_input": "hi"})
    await asked.result()
    assert await events_of(scene, asked, NodeStarted) == []
    slow = llm_workflow(config={"delay_seconds": 0.8})
    asked = await scene.execute(slow, {"user_input": "hi"})
    await asked.result()
    assert len(await events_of(scene, asked, NodeStarted)) == 1


async def test_a_retryable_failure_is_tried_again_with_the_same_effect_key(
    scene: Stage, model: OpenAIServer
) -> None:
    await worker(scene)
    model.script += [failing(503, "busy"), failing(429, "slow", retry_after="0"), saying("now")]
    retry = {"max_attempts": 3, "initial_seconds": 0.05, "max_seconds": 0.1}
    asked = await scene.execute(llm_workflow(model, retry=retry), {"user_input": "hi"})
    assert (await asked.result())["status"] == "COMPLETED"
    told = await events_of(scene, asked, NodeRetrying)
    assert [(e.attempt, e.error.code) for e in told] == [(1, "overloaded"), (2, "rate_limited")]
    (completed,) = await events_of(scene, asked, NodeCompleted)
    assert completed.attempt == 3
    assert len({r.headers["idempotency-key"] for r in model.requests}) == 1


async def test_retry_after_is_waited_for(scene: Stage, model: OpenAIServer) -> None:
    await worker(scene)
    model.script += [failing(429, "slow", retry_after="1"), saying("now")]
    retry = {"max_attempts": 2, "initial_seconds": 0.01, "max_seconds": 0.02}
    asked = await scene.execute(llm_workflow(model, retry=retry), {"user_input": "hi"})
    assert (await asked.result())["status"] == "COMPLETED"
    (told,) = await events_of(scene, asked, NodeRetrying)
    (completed,) = await events_of(scene, asked, NodeCompleted)
    assert told.delay_seconds >= 1
    assert (completed.started_at - told.occurred_at).total_seconds() >= 0.9


async def test_a_final_failure_is_told_once_and_the_task_is_gone(
    scene: Stage, model: OpenAIServer
) -> None:
    await worker(scene)
    model.script.append(failing(401, "no"))
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    result = await asked.result()
    assert (result["status"], result["error"]["code"]) == ("FAILED", "auth")
    (failed,) = await events_of(scene, asked, NodeFailed)
    assert (failed.attempt, failed.error.node_id) == (1, "ask")
    assert len(model.requests) == 1
    await scene.idle()


async def test_a_node_over_its_timeout_is_cut_and_named(scene: Stage, model: OpenAIServer) -> None:
    await worker(scene, started_after_seconds=0.05)
    model.script.append(hanging())
    asked = await scene.execute(llm_workflow(model, timeout_seconds=0.4), {"user_input": "hi"})
    result = await asked.result()
    assert result["error"]["code"] == "timeout"
    assert "'ask'" in result["error"]["message"]
    assert "0.4 seconds" in result["error"]["message"]
    assert len(await events_of(scene, asked, NodeTimedOut)) == 1
    assert len(await events_of(scene, asked, NodeStarted)) == 1
    await eventually(lambda: model.disconnects == 1)


async def test_a_timeout_is_tried_again_only_when_the_policy_names_it(
    scene: Stage, model: OpenAIServer
) -> None:
    await worker(scene)
    model.script += [hanging(), saying("second time")]
    retry = {"max_attempts": 2, "initial_seconds": 0.01, "on": ["timeout"]}
    asked = await scene.execute(
        llm_workflow(model, timeout_seconds=0.4, retry=retry), {"user_input": "hi"}
    )
    assert (await asked.result())["final_state"]["text_result"] == "second time"
    (told,) = await events_of(scene, asked, NodeRetrying)
    assert told.error.code == "timeout"


async def test_cancel_closes_the_providers_connection_within_two_seconds(
    scene: Stage, model: OpenAIServer
) -> None:
    await worker(scene)
    model.script.append(hanging())
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    await eventually(lambda: model.requests)
    await scene.cancel(asked.execution_id)
    await eventually(lambda: model.disconnects == 1)
    assert (await asked.result())["status"] == "CANCELLED"
    await eventually(lambda: events_of(scene, asked, NodeCancelled))
    await scene.idle()


async def test_the_executions_deadline_ends_the_running_node(
    scene: Stage, model: OpenAIServer
) -> None:
    await worker(scene)
    model.script.append(hanging())
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"}, timeout_seconds=0.5)
    assert (await asked.result())["status"] == "TIMED_OUT"
    await eventually(lambda: model.disconnects == 1)
    assert await events_of(scene, asked, NodeTimedOut) == []
    await scene.idle()


async def test_a_node_longer_than_the_lease_runs_once(scene: Stage, model: OpenAIServer) -> None:
    """The lease is 2 s on this stage; without heartbeats there would be a second request."""
    await worker(scene)

    async def slowly(request: Any, connection: Any) -> None:
        await asyncio.sleep(5)
        await saying("at last")(request, connection)

    model.script.append(slowly)
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    assert (await asked.result())["final_state"]["text_result"] == "at last"
    assert len(model.requests) == 1


async def test_stopping_a_worker_hands_its_node_to_another(
    scene: Stage, model: OpenAIServer
) -> None:
    first = await worker(scene, grace=0.2)
    model.script += [hanging(), saying("by the second")]
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    await eventually(lambda: model.requests)
    await first.stop()
    await worker(scene)
    assert (await asked.result())["final_state"]["text_result"] == "by the second"
    (completed,) = await events_of(scene, asked, NodeCompleted)
    assert completed.attempt == 2


async def test_large_outputs_travel_by_reference_and_too_large_ones_fail_their_node_alone(
    scene: Stage, model: OpenAIServer
) -> None:
    await worker(scene)
    text = "x" * 200_000
    model.script.append(saying(text))
    workflow = llm_workflow(model)
    workflow["nodes"].append(
        {
            "id": "again",
            "type": "llm",
            "metadata": {"prompt": "{text_result}", "source_id": "s", "output_key": "second"},
        }
    )
    workflow["edges"] = [{"from": "ask", "to": "again"}]
    asked = await scene.execute(workflow, {"user_input": "hi"})
    assert (await asked.result())["status"] == "COMPLETED"
    first, second = await events_of(scene, asked, NodeCompleted)
    assert first.output["size"] == len(text) + 2
    assert second.output["$ref"].startswith("agentflow-object:")
    assert model.prompts[1] == text

    model.script.append(saying("\x01" * 6_000_000))  # 36 MB once it is JSON
    huge = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    small = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    results = {r["status"]: r for r in (await huge.result(), await small.result())}
    assert results["FAILED"]["error"]["code"] == "payload_too_large"
    assert "COMPLETED" in results


async def test_a_malformed_task_goes_to_the_dead_letters_and_the_next_is_served(
    scene: Stage, model: OpenAIServer
) -> None:
    await worker(scene)
    prefix = scene.settings.prefix
    subject = f"{prefix}.tasks.llm.{TENANT}.exec_bad.ask"
    await scene.publish(subject, b'{"tenant": "acme", "node": NaN}')
    info = f"{prefix}_DEAD"

    async def is_buried() -> bool:
        return (await scene.js.stream_info(info)).state.messages == 1

    await eventually(is_buried)
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    assert (await asked.result())["status"] == "COMPLETED"
    failed = [e for e in await scene.log("exec_bad") if isinstance(e, NodeFailed)]
    assert failed[0].error.code == "malformed_task"


async def test_a_task_that_names_another_tenant_than_its_subject_is_not_run(
    scene: Stage, model: OpenAIServer
) -> None:
    await worker(scene)
    asked = await scene.execute(llm_workflow(model), {"user_input": "hi"})
    await asked.result()
    prefix = scene.settings.prefix
    forged = (
        b'{"tenant": "rich", "execution_id": "e", "node_id": "ask", "pool": "llm", "state": {},'
        b'"node": {"id": "ask", "type": "llm"}, "deadline": "2999-01-01T00:00:00Z",'
        b'"dispatched_at": "2026-01-01T00:00:00Z", "effect_key": "e.ask"}'
    )
    await scene.publish(f"{prefix}.tasks.llm.{TENANT}.e.ask", forged)

    async def is_buried() -> bool:
        return (await scene.js.stream_info(f"{prefix}_DEAD")).state.messages == 1

    await eventually(is_buried)
    assert len(model.requests) == 1


async def test_an_unknown_type_fails_its_node(scene: Stage) -> None:
    await worker(scene)
    workflow = llm_workflow()
    workflow["nodes"][0] = {
        "id": "ask",
        "type": "image",
        "metadata": {"prompt": "a cat", "source_id": "s"},
    }
    workflow["sources"][0] = {"id": "s", "kind": "image", "config": {"provider": "demo"}}
    asked = await scene.execute(workflow, {"user_input": "hi"})
    result = await asked.result()
    assert result["error"]["code"] == "unsupported_type"


async def test_a_pure_node_with_a_pool_runs_in_that_pool(scene: Stage) -> None:
    await worker(scene, types=("llm",))
    workflow = {
        "name": "pooled",
        "start_node": "gate",
        "nodes": [
            {
                "id": "gate",
                "type": "input",
                "pool": "llm",
                "metadata": {"validation": {"required": True}},
            }
        ],
    }
    asked = await scene.execute(workflow, {"user_input": "hi"})
    assert (await asked.result())["status"] == "COMPLETED"
    (completed,) = await events_of(scene, asked, NodeCompleted)
    assert completed.worker_id.count("-") >= 1


async def test_a_node_that_kills_its_workers_fails_in_the_end(
    scene: Stage, model: OpenAIServer
) -> None:
    """Each delivery is taken and dropped, as by a worker that dies; then a real worker comes."""
    sub = await scene.js.pull_subscribe_bind("pool_llm", f"{scene.settings.prefix}_TASKS")
    retry = {"max_attempts": 1}
    asked = await scene.execute(llm_workflow(model, retry=retry), {"user_input": "hi"})
    for _ in range(4):
        (message,) = await sub.fetch(1, timeout=10)
        await message.nak()
    await worker(scene)
    result = await asked.result()
    assert result["error"]["code"] == "worker_crashed"
    assert model.requests == []


async def test_three_hundred_lookups_in_a_database(scene: Stage, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
        database.executemany("INSERT INTO items VALUES (?, ?)", [(n, f"i{n}") for n in range(300)])
    database.close()
    await worker(scene, tmp_path)
    workflow = {
        "name": "lookup",
        "start_node": "find",
        "nodes": [
            {
                "id": "find",
                "type": "db",
                "metadata": {
                    "source_id": "shop",
                    "query": "SELECT name FROM items WHERE id = :id",
                    "params": {"id": "{item}"},
                },
            }
        ],
        "sources": [
            {"id": "shop", "kind": "db", "config": {"provider": "sqlite", "path": "shop.db"}}
        ],
    }
    asked = [await scene.execute(workflow, {"item": n}) for n in range(300)]
    results = await asyncio.gather(*(one.result(60) for one in asked))
    names = [result["final_state"]["db_result"][0]["name"] for result in results]
    assert names == [f"i{n}" for n in range(300)]
