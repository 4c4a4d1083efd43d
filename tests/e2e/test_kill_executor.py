"""kill -9 of an executor in the middle of its executions: another, or the restarted one,
finishes them, and no node that is in the log runs again. Counted by a real provider.
"""

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agentflow.cli.embedded.environment import lent
from agentflow.cli.embedded.options import StackOptions
from agentflow.cli.embedded.split import ServiceProcess, SplitStack
from agentflow.contracts.events import (
    Event,
    ExecutionCompleted,
    ExecutionResumed,
    ExecutionStarted,
    NodeCompleted,
    decode_event,
)
from tests.support.providers.http_server import Connection, Request
from tests.support.providers.openai_server import OpenAIServer
from tests.support.waiting import eventually
from tests.support.watch_bus import BusWatch, Sent

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.chaos]
LENGTH = 5


class SlowProvider(OpenAIServer):
    """Answers after a moment, and lets nobody through while `gate` is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()

    async def handle(self, request: Request, connection: Connection) -> None:
        await asyncio.sleep(0.02)
        await self.gate.wait()
        await super().handle(request, connection)

    @property
    def calls(self) -> Counter[str]:
        return Counter(self.prompts)


@asynccontextmanager
async def split_stack(directory: Path, *, executors: int) -> AsyncIterator[SplitStack]:
    """A stack whose leases run out in 2 s, so that a takeover does not take 10."""
    options = StackOptions(
        directory=directory,
        split=True,
        executors=executors,
        gateway_port=0,
        nats_port=0,
        valkey_port=0,
    )
    with lent({"AGENTFLOW_BUS_COMMAND_ACK_WAIT": "2"}):
        async with SplitStack(options) as stack:
            yield stack


def chain(base_url: str) -> dict[str, Any]:
    """Five calls in a row; each prompt names the execution and the node."""
    names = [f"n{number}" for number in range(LENGTH)]
    config = {"provider": "openai", "model": "m", "base_url": base_url}
    return {
        "name": "chain",
        "start_node": "n0",
        "nodes": [
            {
                "id": name,
                "type": "llm",
                "metadata": {"source_id": "s", "prompt": f"{{me}}/{name}", "output_key": name},
            }
            for name in names
        ],
        "edges": [{"from": a, "to": b} for a, b in pairwise(names)],
        "sources": [{"id": "s", "kind": "llm", "config": config}],
    }


async def execute(bus: BusWatch, base_url: str, name: str) -> Sent:
    body = {
        "workflow": chain(base_url),
        "initial_state": {"me": name},
        "execution_id": name,
    }
    return await bus.send("commands.acme.execute", json.dumps(body).encode())


def log_of(bus: BusWatch, name: str) -> list[Event]:
    found = [
        decode_event(subject, data)
        for subject, data in bus.events
        if subject.startswith(f"agentflow.events.acme.{name}.")
    ]
    return [event for event in found if event is not None]


def recorded(bus: BusWatch, name: str) -> list[str]:
    return [event.node_id for event in log_of(bus, name) if isinstance(event, NodeCompleted)]


def every_node_once(name: str) -> dict[str, int]:
    return {f"{name}/n{number}": 1 for number in range(LENGTH)}


def check_log(bus: BusWatch, name: str) -> None:
    """Started once, ended once, each node recorded once and in order."""
    log = log_of(bus, name)
    assert sum(isinstance(event, ExecutionStarted) for event in log) == 1
    assert sum(isinstance(event, ExecutionCompleted) for event in log) == 1
    assert recorded(bus, name) == [f"n{number}" for number in range(LENGTH)]


@pytest.mark.parametrize("when", range(0, LENGTH, 2))
async def test_a_restarted_executor_finishes_and_runs_no_recorded_node_again(
    tmp_path: Path, when: int
) -> None:
    """Killed when `when` nodes are recorded and the next one is running."""
    async with (
        SlowProvider() as provider,
        split_stack(tmp_path, executors=1) as stack,
        BusWatch(stack.addresses.nats_url) as bus,
    ):
        asked = await execute(bus, provider.base_url, "one")
        await eventually(lambda: provider.calls[f"one/n{when}"] or len(recorded(bus, "one")) > when)
        provider.gate.clear()
        (executor,) = [p for p in stack.processes if p.service == "executor"]
        os.kill(executor.child.pid, signal.SIGKILL)
        await eventually(lambda: executor.child.exit_code is not None)
        provider.gate.set()  # the node that was running ends while no executor lives
        await asyncio.sleep(0.5)

        restarted = ServiceProcess("executor-again", "executor", stack.ground)
        await restarted.start()
        try:
            result = await bus.result(asked, timeout=60)
        finally:
            await restarted.stop()
    assert result["status"] == "COMPLETED", result
    assert provider.calls == every_node_once("one")
    assert result["final_state"]["n4"] == "echo: one/n4"
    check_log(bus, "one")
    assert sum(isinstance(event, ExecutionResumed) for event in log_of(bus, "one")) == 1


async def test_another_executor_takes_over_what_a_killed_one_had(tmp_path: Path) -> None:
    """Twelve executions on two executors, one of which dies; nothing is lost or doubled."""
    names = [f"many{number}" for number in range(12)]
    async with (
        SlowProvider() as provider,
        split_stack(tmp_path, executors=2) as stack,
        BusWatch(stack.addresses.nats_url) as bus,
    ):
        asked = [await execute(bus, provider.base_url, name) for name in names]
        await eventually(lambda: sum(len(recorded(bus, name)) for name in names) >= 20)
        provider.gate.clear()
        owners = {
            event.executor_id
            for name in names
            for event in log_of(bus, name)
            if isinstance(event, ExecutionStarted)
        }
        assert len(owners) > 1
        killed = next(p for p in stack.processes if p.service == "executor")
        os.kill(killed.child.pid, signal.SIGKILL)
        await eventually(lambda: killed.child.exit_code is not None)
        provider.gate.set()
        results = [await bus.result(message, timeout=60) for message in asked]
    assert [result["status"] for result in results] == ["COMPLETED"] * len(names)
    for name in names:
        check_log(bus, name)
    expected = Counter({k: v for name in names for k, v in every_node_once(name).items()})
    assert provider.calls == expected
    resumed = [e for name in names for e in log_of(bus, name) if isinstance(e, ExecutionResumed)]
    assert resumed, "the killed executor had none of them: nothing was tested"


async def test_control_the_provider_counts_a_node_that_runs_twice(tmp_path: Path) -> None:
    """Were the log not read, this is what the tests above would see."""
    async with (
        SlowProvider() as provider,
        split_stack(tmp_path, executors=1) as stack,
        BusWatch(stack.addresses.nats_url) as bus,
    ):
        for execution_id in ("first", "second"):
            body = {
                "workflow": chain(provider.base_url),
                "initial_state": {"me": "same"},
                "execution_id": execution_id,
            }
            asked = await bus.send("commands.acme.execute", json.dumps(body).encode())
            assert (await bus.result(asked))["status"] == "COMPLETED"
    assert provider.calls != every_node_once("same")
    assert set(provider.calls.values()) == {2}
