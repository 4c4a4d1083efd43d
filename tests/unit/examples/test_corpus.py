"""Workflows as other people write them: checked, run on both schedulers, compared.

Beside each `tests/corpus/workflows/<name>.json` stands `<name>.expect.json`: the error codes of
one that is wrong, or what comes out of one that is right, written from the spec's page.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agentflow.engine.validation import validate
from agentflow.node_workers.runner import NodeRunner
from tests.support.examples import ROOT, Ending, misses
from tests.support.schedulers import run_on_langgraph, run_on_walk

CORPUS = ROOT / "tests" / "corpus" / "workflows"
Run = Callable[[Any, Any, NodeRunner], Awaitable[Ending]]


def expectations() -> dict[str, dict[str, Any]]:
    return {
        path.name.removesuffix(".expect.json"): json.loads(path.read_text())
        for path in sorted(CORPUS.glob("*.expect.json"))
    }


EXPECTED = expectations()
RUNS = [
    pytest.param(name, run, id=f"{name}-{number}")
    for name, expected in EXPECTED.items()
    for number, run in enumerate(expected.get("runs", []))
]


def text_of(name: str) -> str:
    return (CORPUS / f"{name}.json").read_text()


@pytest.mark.parametrize("name", EXPECTED)
def test_the_check_finds_what_is_there(name: str) -> None:
    expected = EXPECTED[name]
    report = validate(text_of(name))
    assert sorted(issue.code for issue in report.errors) == expected.get("errors", [])
    assert report.valid is expected["valid"]
    if report.valid:
        assert sorted(issue.code for issue in report.warnings) == expected["warnings"]


@pytest.mark.parametrize("scheduler", [run_on_langgraph, run_on_walk])
@pytest.mark.parametrize(("name", "run"), RUNS)
async def test_what_comes_out_is_what_the_page_says(
    name: str, run: dict[str, Any], scheduler: Run, runner: NodeRunner
) -> None:
    expect = dict(run)
    ending = await scheduler(json.loads(text_of(name)), expect.pop("initial_state"), runner)
    assert misses(expect, ending) == []


@pytest.mark.parametrize(("name", "run"), RUNS)
async def test_both_schedulers_agree(name: str, run: dict[str, Any], runner: NodeRunner) -> None:
    spec = json.loads(text_of(name))
    one = await run_on_langgraph(spec, run["initial_state"], runner)
    assert await run_on_walk(spec, run["initial_state"], runner) == one


def test_no_workflow_is_without_its_expectation() -> None:
    workflows = {p.stem for p in CORPUS.glob("*.json") if not p.name.endswith(".expect.json")}
    assert workflows == set(EXPECTED)
    assert len(workflows) >= 25


@pytest.mark.parametrize("name", [n for n, e in EXPECTED.items() if not e["valid"]])
def test_every_error_says_where_and_what(name: str) -> None:
    document = json.loads(text_of(name))
    for issue in validate(text_of(name)).errors:
        assert len(issue.message) > 15
        assert points_into(document, issue.pointer), issue


def points_into(document: Any, pointer: str) -> bool:
    """Whether the pointer, or its parent for something that is missing, is in the document."""
    steps = pointer.split("/")[1:]
    for number, step in enumerate(steps):
        if isinstance(document, list) and step.isdecimal() and int(step) < len(document):
            document = document[int(step)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        else:
            return number == len(steps) - 1
    return True


def test_pointers_are_really_looked_up() -> None:
    document = {"nodes": [{"id": "a"}]}
    assert points_into(document, "/nodes/0/metadata")
    assert not points_into(document, "/nodes/1/id")
    assert Path(CORPUS).is_dir()
