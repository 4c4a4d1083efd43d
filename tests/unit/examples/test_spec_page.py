"""Everything docs/reference/workflow-spec.md shows is valid, and does what the page says."""

import json
import re
from typing import Any

import pytest

from agentflow.contracts.spec import NODE_SETTINGS, WorkflowSpec
from agentflow.engine.conditions import compile_condition
from agentflow.engine.templates import compile_template
from agentflow.engine.validation import validate
from agentflow.node_workers.runner import NodeRunner
from tests.support.examples import ROOT
from tests.support.pages import Block, blocks, rows
from tests.support.schedulers import run_on_langgraph

PAGE = ROOT / "docs" / "reference" / "workflow-spec.md"
BLOCKS = list(blocks(PAGE))
SOURCES = next(json.loads(b.text) for b in BLOCKS if b.kind == "sources")


def of_kind(kind: str) -> list[Any]:
    return [pytest.param(b, id=f"line-{b.line}") for b in BLOCKS if b.kind == kind]


def entries(kind: str) -> list[Any]:
    return [entry for b in BLOCKS if b.kind == kind for entry in json.loads(b.text)]


def step(node_id: str) -> dict[str, Any]:
    metadata = {"strategy": "template", "template": node_id, "output_key": f"{node_id}_text"}
    return {"id": node_id, "type": "aggregator", "metadata": metadata}


def errors(spec: dict[str, Any]) -> list[str]:
    return [f"{i.code} {i.pointer}: {i.message}" for i in validate(json.dumps(spec)).errors]


@pytest.mark.parametrize("block", of_kind("workflow"))
def test_a_whole_workflow_has_no_error_and_no_warning(block: Block) -> None:
    report = validate(block.text)
    assert (report.errors, report.warnings) == ((), ())


@pytest.mark.parametrize(("state", "output"), rows(PAGE))
async def test_the_first_workflow_gives_what_the_table_says(
    state: str, output: str, runner: NodeRunner
) -> None:
    spec = next(json.loads(b.text) for b in BLOCKS if b.kind == "workflow")
    ending = await run_on_langgraph(spec, json.loads(state), runner)
    assert ending.final_state["final_output"] == json.loads(output)


@pytest.mark.parametrize("block", of_kind("node"))
def test_a_node_can_stand_in_a_workflow(block: Block) -> None:
    node = json.loads(block.text)
    assert errors({"start_node": node["id"], "nodes": [node], "sources": SOURCES}) == []


@pytest.mark.parametrize("block", of_kind("edges"))
def test_edges_fit_together(block: Block) -> None:
    edges = json.loads(block.text)
    WorkflowSpec.model_validate({"start_node": "read", "nodes": [step("read")], "edges": edges})
    ends = [edge["from"] for edge in edges]
    for edge in edges:
        ends += [edge["to"]] if isinstance(edge["to"], str) else edge["to"]
    nodes = [step(name) for name in dict.fromkeys(ends) if name != "END"]
    assert errors({"start_node": "read", "nodes": nodes, "edges": edges}) == []


@pytest.mark.parametrize("block", of_kind("queues"))
def test_queues_fit_an_edge(block: Block) -> None:
    queues = json.loads(block.text)
    edges = [{"from": q["from"], "to": q["to"], "queue": q["id"]} for q in queues]
    nodes = [step("read"), step("classify")]
    spec = {"start_node": "read", "nodes": nodes, "edges": edges, "queues": queues}
    assert errors(spec) == []


@pytest.mark.parametrize("entry", entries("conditions"), ids=lambda entry: entry["condition"])
def test_a_condition_holds_as_the_page_says(entry: dict[str, Any]) -> None:
    assert compile_condition(entry["condition"]).holds(entry["state"]) is entry["holds"]


@pytest.mark.parametrize("entry", entries("templates"), ids=lambda entry: entry["template"])
def test_a_template_gives_what_the_page_says(entry: dict[str, Any]) -> None:
    assert compile_template(entry["template"]).render(entry["state"]).text == entry["gives"]


def test_no_block_is_left_unread() -> None:
    """A block of a kind nobody here knows would be shown and never run."""
    known = {"workflow", "node", "edges", "conditions", "templates", "sources", "queues"}
    assert {b.kind for b in BLOCKS} == known
    shown = [t for t in PAGE.read_text().split("\n") if t.startswith("```") and len(t) > 3]
    assert len(shown) == len(BLOCKS)


def test_every_key_of_a_spec_is_explained() -> None:
    told = set(re.findall(r"`\"?(\w+)\"?`", PAGE.read_text()))
    assert set(WorkflowSpec.model_fields) <= told
    assert set(NODE_SETTINGS) <= told
