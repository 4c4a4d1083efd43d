"""What bad input costs the processes it reaches: a few log lines each, and no work once it is
dealt with. Measured from outside: CPU by the kernel, lines in the log files, restarts by pid.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from agentflow.cli.embedded.stack import Stack
from tests.support.hostile import no_object, not_json
from tests.support.stacks import running_stack
from tests.support.waiting import eventually
from tests.support.watch_bus import BusWatch, Sent

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
SUBJECTS = (
    "commands.acme.execute",
    "commands.acme.validate",
    "commands.acme.cancel",
    "tasks.llm.acme.exec_{n}.n",
    "events.acme.exec_{n}.node.completed",
    "audit.acme.workflow.created",
)
LINES_EACH = 5
"""Log lines of all services together that one bad message may cost."""
IDLE_SHARE = 0.5
"""Of a core, over all services, when nothing is left to do; a hot loop takes a whole one."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("hostile")
    async with running_stack(directory, split=True) as running:
        yield running


def log_lines(stack: Stack) -> int:
    logs = list(stack.ground.layout.logs.glob("*.log"))
    assert len(logs) >= 6
    return sum(log.read_bytes().count(b"\n") for log in logs if "nats" not in log.name)


def cpu_seconds(stack: Stack) -> float:
    """Used so far by all services, servers aside."""
    pids = {pid for name, own in stack.pids.items() if "server" not in name for pid in own}
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(time.user + time.system for time in times)


async def test_bad_messages_cost_a_few_log_lines_and_leave_nothing_turning(stack: Stack) -> None:
    pids = stack.pids
    lines = log_lines(stack)
    sent: list[Sent] = []
    bodies = [*not_json().values(), *no_object().values()]
    async with BusWatch(stack.addresses.nats_url) as bus:
        for number, body in enumerate(bodies * 2):
            for subject in SUBJECTS:
                named = subject.replace("{n}", str(number))
                sent.append(await bus.send(named, body, header_reply=False))
        for message in sent:
            await bus.dead_letter(message, timeout=60)
        assert len(bus.dead) == len(sent)

        async def all_settled() -> bool:
            left = [await bus.left(name) for name in ("COMMANDS", "TASKS")]
            return left == [0, 0]

        await eventually(all_settled)
    assert stack.pids == pids
    assert log_lines(stack) - lines <= LINES_EACH * len(sent)

    shares = []
    for _ in range(3):  # the least of three: somebody else may be using the machine
        before = cpu_seconds(stack)
        await asyncio.sleep(2)
        shares.append((cpu_seconds(stack) - before) / 2)
    assert min(shares) < IDLE_SHARE
    assert log_lines(stack) - lines <= LINES_EACH * len(sent)


async def test_control_a_hot_loop_would_be_seen() -> None:
    """One process that spins is over the share within the same time."""
    code = "import time\nwhile True: time.monotonic()"
    spinning = await asyncio.create_subprocess_exec("python3", "-c", code)
    try:
        process = psutil.Process(spinning.pid)
        shares = []
        for _ in range(3):
            times = process.cpu_times()
            await asyncio.sleep(2)
            now = process.cpu_times()
            shares.append((now.user + now.system - times.user - times.system) / 2)
        assert max(shares) > IDLE_SHARE
    finally:
        spinning.kill()
        await spinning.wait()
