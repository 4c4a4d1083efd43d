"""examples/publish_directly.py, as a user starts it, against the embedded stack."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from agentflow.cli.embedded.stack import Stack
from tests.support.examples import EXAMPLES
from tests.support.stacks import running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
SCRIPT = EXAMPLES / "publish_directly.py"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("stack"), split=False) as stack:
        yield stack


async def publish(nats_url: str, *arguments: str) -> tuple[int, list[tuple[str, Any]]]:
    """The exit code and what was printed, as (kind, content)."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SCRIPT), "--nats", nats_url, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    lines = [json.loads(line) for line in out.decode().splitlines()]
    printed = [(kind, content) for line in lines for kind, content in line.items()]
    return process.returncode, [*printed, ("stderr", err.decode())]


@pytest.mark.parametrize("feed", [[], ["--live"]], ids=["from the stream", "from the live feed"])
async def test_a_plain_client_runs_a_workflow_and_follows_it(feed: list[str], stack: Stack) -> None:
    code, printed = await publish(stack.addresses.nats_url, *feed)
    assert code == 0, printed
    kinds = [kind for kind, _ in printed]
    assert kinds[:2] == ["stored", "accepted"]
    assert kinds[-2:] == ["result", "stderr"]
    events = [(e["what"], e["node"]) for kind, e in printed if kind == "event"]
    assert events[0] == ("execution.started", None)
    assert events[-1] == ("execution.completed", None)
    completed = [node for what, node in events if what == "node.completed"]
    assert completed == ["message", "mood", "reply", "record"]
    content = dict(printed)
    assert content["result"]["execution_id"] == content["accepted"]["execution_id"]
    assert content["result"]["final_state"]["final_output"]["result"] == {
        "intent": "angry",
        "text_result": "We are sorry and will put it right.",
    }


async def test_another_text_gets_another_answer(stack: Stack) -> None:
    code, printed = await publish(stack.addresses.nats_url, "--text", "What a lovely kettle.")
    assert code == 0
    result = dict(printed)["result"]["final_state"]["final_output"]["result"]
    assert result["text_result"] == "Thank you for writing to us."


async def test_a_broken_spec_gets_a_problem_and_nothing_hangs(stack: Stack) -> None:
    code, printed = await publish(stack.addresses.nats_url, "--broken")
    assert code == 2, printed
    problem = dict(printed)["problem"]
    assert problem["code"] == "invalid_workflow"
    codes = {error["code"] for error in problem["errors"]}
    assert {"unknown_edge_target", "unknown_source"} <= codes
    assert all(error["pointer"] and error["message"] for error in problem["errors"])
    code, _ = await publish(stack.addresses.nats_url)
    assert code == 0, "the next good command is not served"


async def test_without_a_server_it_says_so_and_ends() -> None:
    code, printed = await publish("nats://127.0.0.1:1")
    assert code == 3
    assert "running" in dict(printed)["stderr"]
