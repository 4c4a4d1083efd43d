"""Every case of every example comes out as written, on LangGraph and on the walk alike."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from agentflow.node_workers.runner import NodeRunner
from tests.support import examples
from tests.support.examples import Case, Ending, misses
from tests.support.schedulers import run_on_langgraph, run_on_walk

CASES = list(examples.cases())
IDS = [f"{case.example}-{case.name}" for case in CASES]
Run = Callable[[Any, Any, NodeRunner], Awaitable[Ending]]


@pytest.mark.parametrize("run", [run_on_langgraph, run_on_walk])
@pytest.mark.parametrize("case", CASES, ids=IDS)
async def test_a_case_comes_out_as_written(case: Case, run: Run, runner: NodeRunner) -> None:
    ending = await run(case.workflow, case.initial_state, runner)
    assert misses(case.expect, ending) == []


@pytest.mark.parametrize("case", CASES, ids=IDS)
async def test_both_schedulers_give_the_same_final_state(case: Case, runner: NodeRunner) -> None:
    on_langgraph = await run_on_langgraph(case.workflow, case.initial_state, runner)
    on_walk = await run_on_walk(case.workflow, case.initial_state, runner)
    assert on_walk == on_langgraph


async def test_a_wrong_expectation_is_noticed(runner: NodeRunner) -> None:
    case = next(case for case in CASES if case.expect["status"] == "COMPLETED")
    wrong = {"status": "FAILED", "execution_path": [], "final_state": {"text_result": "no"}}
    ending = await run_on_langgraph(case.workflow, case.initial_state, runner)
    assert len(misses(wrong, ending)) == len(wrong)


def test_every_example_has_a_case() -> None:
    assert {case.example for case in CASES} == set(examples.names())
