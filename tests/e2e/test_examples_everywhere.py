"""Every case of every example comes out the same in one process, embedded and split."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from agentflow.cli.embedded.environment import lent
from agentflow.cli.embedded.stack import Stack
from agentflow.cli.inputs import SpecText
from agentflow.cli.local_run import run_locally
from agentflow.cli.output import Output
from agentflow.node_workers.app import make_runner
from tests.support import examples
from tests.support.examples import EXAMPLES, Case, Ending, misses
from tests.support.schedulers import run_on_walk
from tests.support.stacks import run_on_stack, running_stack

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
CASES = list(examples.cases())
IDS = [f"{case.example}-{case.name}" for case in CASES]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="module")
def environ(data: Path) -> Mapping[str, str]:
    return examples.prepare(data)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["embedded", "split"])
async def stack(
    request: pytest.FixtureRequest,
    environ: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Stack]:
    directory = tmp_path_factory.mktemp(request.param)
    async with running_stack(directory, split=request.param == "split", environ=environ) as stack:
        yield stack


async def run_in_one_process(case: Case, environ: Mapping[str, str]) -> Ending:
    """What `agentflow run --local` does."""
    path = EXAMPLES / case.example / "workflow.json"
    text = SpecText(path.name, path.read_text(), case.workflow)
    with lent(environ):
        result = await run_locally(text, case.initial_state, Output(), watch=False, timeout=None)
    return Ending(
        str(result.status), result.final_state, result.error.code if result.error else None
    )


@pytest.mark.parametrize("case", CASES, ids=IDS)
async def test_the_stack_gives_what_one_process_gives(
    case: Case, stack: Stack, environ: Mapping[str, str]
) -> None:
    on_stack = await run_on_stack(stack, case.workflow, case.initial_state)
    assert misses(case.expect, on_stack) == []
    assert on_stack == await run_in_one_process(case, environ)


@pytest.mark.parametrize("job", examples.jobs())
async def test_a_whole_job_gives_what_the_walk_alone_gives(
    job: str, stack: Stack, environ: Mapping[str, str], data: Path
) -> None:
    """All 300 messages, and every installed package, many at once."""
    workflow = examples.workflow(job)
    states = [item["initial_state"] for item in examples.inputs(examples.jobs()[job], data)]
    doors = asyncio.Semaphore(16)

    async def through_the_stack(state: dict[str, Any]) -> Ending:
        async with doors:
            return await run_on_stack(stack, workflow, state)

    on_stack = await asyncio.gather(*map(through_the_stack, states))
    runner = make_runner(environ=environ)
    try:
        for state, ending in zip(states, on_stack, strict=True):
            assert ending == await run_on_walk(workflow, state, runner)
    finally:
        await runner.aclose()


async def test_a_difference_would_be_seen(stack: Stack, environ: Mapping[str, str]) -> None:
    """The same workflow with one word changed does not end equal."""
    case = next(c for c in CASES if c.example == "intent_routing" and c.name == "outage")
    workflow: dict[str, Any] = case.workflow
    changed = {**case.initial_state, "name": "Somebody Else"}
    on_stack = await run_on_stack(stack, workflow, changed)
    assert on_stack != await run_in_one_process(case, environ)
