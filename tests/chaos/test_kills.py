"""kill -9 of each process of a split stack with a hundred executions in flight; whoever was
killed comes back with the same command. Then one checker reads the streams and the tables.
"""

import asyncio
import json
import os
import signal
import uuid
from pathlib import Path
from typing import Any

import httpx
import nats
import pytest
from nats.aio.client import Client

from agentflow.cli.embedded.child import Child
from agentflow.cli.embedded.environment import lent
from agentflow.cli.embedded.options import StackOptions
from agentflow.cli.embedded.split import SplitStack
from agentflow.contracts.events import NodeCompleted
from agentflow.storage.settings import StorageSettings
from tests.support.checker import Found, Key, find, violations
from tests.support.waiting import eventually

pytestmark = [pytest.mark.chaos, pytest.mark.e2e, pytest.mark.slow]

OVER_BUS = 80
OVER_REST = 40
BEFORE_THE_KILL = 40
"""Results in the log before somebody is killed: well inside the run."""
SHORT_LEASES = {"AGENTFLOW_BUS_COMMAND_ACK_WAIT": "2", "AGENTFLOW_BUS_TASK_ACK_WAIT": "3"}
NODES = ("first", "a", "b", "c", "join", "last", "report")


def job(number: int) -> dict[str, Any]:
    """Seven nodes, two of them decided in the executor; each call to the model takes a while."""
    asked = [
        {
            "id": name,
            "type": "llm",
            "metadata": {"source_id": "s", "prompt": f"{name} of {number}", "output_key": name},
        }
        for name in NODES
        if name not in ("join", "report")
    ]
    pure = [
        {"id": name, "type": "aggregator", "metadata": {"strategy": "merge", "source_keys": keys}}
        for name, keys in (("join", ["a", "b", "c"]), ("report", ["first", "last"]))
    ]
    return {
        "name": "killed",
        "start_node": "first",
        "nodes": [*asked, *pure],
        "edges": [
            {"from": "first", "to": ["a", "b", "c"]},
            *({"from": name, "to": "join"} for name in "abc"),
            {"from": "join", "to": "last"},
            {"from": "last", "to": "report"},
        ],
        "sources": [
            {"id": "s", "kind": "llm", "config": {"provider": "demo", "delay_seconds": 0.15}}
        ],
    }


async def ask_over_bus(nc: Client, number: int) -> Key:
    """Accepted once the stream has it; repeated with the same id until then."""
    execution_id = f"bus{number}"
    body = {"workflow": job(number), "initial_state": {}, "execution_id": execution_id}
    for _ in range(60):
        try:
            await nc.jetstream(timeout=2).publish(
                "agentflow.commands.acme.execute",
                json.dumps(body).encode(),
                headers={"Nats-Msg-Id": execution_id},
            )
        except (nats.errors.Error, TimeoutError):
            await asyncio.sleep(0.2)
        else:
            return "acme", execution_id
    raise AssertionError("the bus never took the command")


async def ask_over_rest(client: httpx.AsyncClient, number: int) -> Key:
    """Repeated with the same key while the answer is "down" or "unknown", or none at all."""
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"workflow": job(number), "initial_state": {}}
    for _ in range(120):
        try:
            answer = await client.post("/workflows/execute/async", json=body, headers=key)
        except httpx.TransportError:
            await asyncio.sleep(0.2)
            continue
        if answer.status_code == 202:
            return "default", answer.json()["execution_id"]
        assert answer.status_code in (409, 429, 503), answer.text
        await asyncio.sleep(0.2)
    raise AssertionError("the gateway never took the command")


async def results(nc: Client) -> int:
    """How many results of nodes the log holds."""
    subject = NodeCompleted.pattern("agentflow")
    try:
        info = await nc.jetstream(timeout=2).stream_info("agentflow_EVENTS", subject)
    except (nats.errors.Error, TimeoutError):
        return 0
    return sum((info.state.subjects or {}).values())


async def ended(nc: Client) -> int:
    """How many executions have a terminal event."""
    try:
        info = await nc.jetstream(timeout=2).stream_info(
            "agentflow_EVENTS", "agentflow.events.*.*.execution.*"
        )
    except (nats.errors.Error, TimeoutError):
        return 0
    terminal = ("completed", "failed", "cancelled", "timed_out")
    return sum(subject.endswith(terminal) for subject in info.state.subjects or {})


def children_of(stack: SplitStack, victim: str) -> list[Child]:
    children = [p.child for p in stack.processes if p.service == victim]
    return children + [c for c in stack.ground.children if c.name == victim]


async def kill_and_restart(stack: SplitStack, victim: str, away: float) -> None:
    """kill -9, and after a while the same command with the same environment."""
    children = children_of(stack, victim)
    assert children, f"there is no {victim}"
    for child in children:
        os.kill(child.pid, signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
    await asyncio.sleep(away)
    for child in children:
        service = [p for p in stack.processes if p.child is child]
        await (service[0].start() if service else child.start())


async def freeze(stack: SplitStack, victim: str, seconds: float) -> None:
    """SIGSTOP past the lease, then SIGCONT."""
    for child in children_of(stack, victim)[:1]:
        os.kill(child.pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        os.kill(child.pid, signal.SIGCONT)


async def left_behind(stack: SplitStack, storage: StorageSettings, accepted: set[Key]) -> Found:
    """What the checker found, once it finds nothing wrong or time is up."""
    found = Found()

    async def is_right() -> bool:
        nonlocal found
        found = await find(stack.addresses.nats_url, storage)
        return not violations(found, accepted, NODES)

    try:
        await eventually(is_right, timeout=25, interval=0.5)
    except AssertionError:
        return found  # the caller says what is wrong with it
    return found


async def a_run_with(directory: Path, *trouble: tuple[str, str, float]) -> Found:
    """A hundred and twenty executions; trouble when they are under way; then the check."""
    options = StackOptions(
        directory=directory,
        split=True,
        executors=2,
        workers=2,
        gateway_port=0,
        nats_port=0,
        valkey_port=0,
    )
    with lent(SHORT_LEASES):
        async with SplitStack(options) as stack:
            nc = await nats.connect(
                stack.addresses.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1
            )
            client = httpx.AsyncClient(
                base_url=f"{stack.addresses.gateway_url}/api/v1",
                headers={"X-API-Key": stack.addresses.api_key},
                trust_env=False,
                timeout=20,
            )
            storage = StorageSettings(database_url=stack.addresses.database_url)
            try:
                async with asyncio.TaskGroup() as group:
                    asked = [
                        group.create_task(ask_over_bus(nc, number)) for number in range(OVER_BUS)
                    ]
                    asked += [
                        group.create_task(ask_over_rest(client, number))
                        for number in range(OVER_REST)
                    ]
                    await eventually(
                        lambda: _more_than(nc, BEFORE_THE_KILL), timeout=30, interval=0.05
                    )
                    assert await ended(nc) < 20, "too late: little is in flight any more"
                    for how, victim, seconds in trouble:
                        act = freeze if how == "freeze" else kill_and_restart
                        await act(stack, victim, seconds)
                accepted = {task.result() for task in asked}
                assert len(accepted) == OVER_BUS + OVER_REST
                await eventually(lambda: _all_ended(nc, len(accepted)), timeout=50, interval=0.2)
                found = await left_behind(stack, storage, accepted)
            finally:
                await client.aclose()
                await nc.close()
    assert violations(found, accepted, NODES) == []
    return found


async def _more_than(nc: Client, count: int) -> bool:
    return await results(nc) > count


async def _all_ended(nc: Client, count: int) -> bool:
    return await ended(nc) >= count


@pytest.mark.parametrize(
    ("victim", "away"),
    [
        ("executor", 0.3),
        ("node-workers", 0.3),
        ("history", 0.3),
        ("gateway", 0.3),
        ("nats-server", 0.3),
    ],
)
async def test_nothing_accepted_is_lost_or_doubled_by_kill_9(
    tmp_path: Path, victim: str, away: float
) -> None:
    await a_run_with(tmp_path, ("kill", victim, away))


async def test_frozen_past_their_leases_an_executor_and_a_worker_change_nothing(
    tmp_path: Path,
) -> None:
    await a_run_with(tmp_path, ("freeze", "executor", 3.5), ("freeze", "node-workers", 4.5))
