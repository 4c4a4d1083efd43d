"""Workflows as LangGraph graphs, in one process."""

import json
import subprocess
import sys
from itertools import pairwise
from typing import Any

import langsmith.utils
import pytest
from langgraph.graph import StateGraph
from pydantic import ValidationError

from agentflow.contracts.errors import InvalidSpec
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node, WorkflowSpec
from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.engine.errors import WorkflowStopped
from agentflow.engine.graph import (
    build_graph_from_json,
    compile_graph,
    graph_config,
    graph_input,
    graph_name,
    run_graph,
    run_to_end,
)
from tests.support.specs import Json, behave, chain, fan, llm
from tests.support.walks import plan_of


async def test_a_workflow_given_as_json_text_object_spec_or_plan_runs() -> None:
    spec = fan(2)
    forms: list[Any] = [
        spec,
        json.dumps(spec),
        json.dumps(spec).encode(),
        WorkflowSpec.model_validate(spec),
        plan_of(spec),
    ]
    ends = [await run_graph(form, {"user_input": "hi"}, behave) for form in forms]
    assert ends[0]["execution_path"] == ["first", "m0", "m1", "last"]
    assert all(end == ends[0] for end in ends)


async def test_it_is_a_real_langgraph_graph_that_can_be_compiled_and_invoked() -> None:
    graph = build_graph_from_json(chain(3), behave)
    assert isinstance(graph, StateGraph)
    channels = await graph.compile().ainvoke(graph_input({}), graph_config(plan_of(chain(3))))
    assert list(channels["node outcomes"]) == ["n0", "n1", "n2"]
    assert compile_graph(chain(3), behave).get_graph().nodes.keys() >= {"n0", "n1", "n2"}


async def test_a_runner_may_be_async() -> None:
    async def later(node: Node, state: Json) -> NodeResult:
        return behave(node, state)

    assert await run_graph(fan(3), {}, later) == await run_graph(fan(3), {}, behave)


async def test_a_failure_raises_with_what_was_reached() -> None:
    spec = {**chain(3), "nodes": [llm("n0"), llm("n1", fails=True), llm("n2")]}
    with pytest.raises(WorkflowStopped) as stopped:
        await run_graph(spec, {}, behave)
    assert stopped.value.outcome is ExecutionStatus.FAILED
    assert stopped.value.error.node_id == "n1"
    assert stopped.value.final_state["execution_path"] == ["n0", "n1"]
    assert "final_output" not in stopped.value.final_state


async def test_what_did_not_run_is_pending_after_a_failure() -> None:
    spec = {**chain(3), "nodes": [llm("n0"), llm("n1", fails=True), llm("n2")]}
    run = await run_to_end(spec, {}, behave)
    assert run.statuses == {
        "n0": NodeStatus.COMPLETED,
        "n1": NodeStatus.FAILED,
        "n2": NodeStatus.PENDING,
    }


async def test_an_error_of_the_runner_itself_is_not_swallowed() -> None:
    def broken(node: Node, state: Json) -> NodeResult:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await run_graph(chain(1), {}, broken)


async def test_a_runner_cannot_corrupt_what_others_see() -> None:
    kept: list[Json] = []

    def rude(node: Node, state: Json) -> NodeResult:
        state["shared"]["list"].append(node.id)
        output = {"shared": state["shared"]}
        kept.append(output)
        for earlier in kept:
            earlier["forged"] = True
        return NodeResult(output=output, writes={"mine": output})

    initial: Json = {"shared": {"list": []}}
    end = await run_graph(chain(3), initial, rude)
    assert initial == {"shared": {"list": []}}
    assert end["shared"] == {"list": []}
    assert end["outputs"]["n0"]["shared"] == {"list": ["n0"]}


async def test_a_spent_budget_stops_it() -> None:
    def spend(node: Node, state: Json) -> NodeResult:
        return NodeResult(writes={"tokens_used": 3, "cost": 0.1})

    spec = {**chain(4), "budget": {"tokens": 5}}
    with pytest.raises(WorkflowStopped, match="6 of 5 tokens") as stopped:
        await run_graph(spec, {}, spend)
    assert stopped.value.final_state["execution_path"] == ["n0", "n1"]
    with pytest.raises(WorkflowStopped, match="12 of 10 tokens"):
        await run_graph({**chain(4), "budget": {"tokens": 10}}, {}, spend)


async def test_a_condition_that_cannot_be_decided_stops_it() -> None:
    spec = chain(2)
    spec["edges"][0]["condition"] = "size(nothing) > 0"
    with pytest.raises(WorkflowStopped, match="n0 → n1"):
        await run_graph(spec, {}, behave)


async def test_a_long_chain_and_a_wide_fan_run_to_the_end() -> None:
    for spec in (chain(120), fan(120)):
        end = await run_graph(spec, {}, behave)
        assert len(end["execution_path"]) == len(spec["nodes"])


async def test_names_langgraph_keeps_for_itself_are_ordinary_node_ids() -> None:
    ids = ["__start__", "__end__", "results", "END-", "__x"]
    spec = {
        "start_node": ids[0],
        "nodes": [llm(i) for i in ids],
        "edges": [{"from": a, "to": b} for a, b in pairwise(ids)],
    }
    assert (await run_graph(spec, {}, behave))["execution_path"] == ids
    assert graph_name("__start__") == "node __start__"


def test_what_cannot_be_walked_is_refused() -> None:
    spec = chain(2)
    spec["edges"].append({"from": "n1", "to": "n0"})
    with pytest.raises(InvalidSpec, match="cycle"):
        build_graph_from_json(spec, behave)
    with pytest.raises(ValidationError):
        build_graph_from_json('{"nodes": 1}', behave)


def forget_environment() -> None:
    """LangSmith reads each variable once."""
    cached: Any = langsmith.utils.get_env_var
    cached.cache_clear()


async def test_langsmith_tracing_is_off_even_where_the_environment_switches_it_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.setenv(name, "true")
    forget_environment()
    traced: list[Any] = []

    def look(node: Node, state: Json) -> NodeResult:
        traced.append(langsmith.utils.tracing_is_enabled())
        return behave(node, state)

    try:
        assert langsmith.utils.tracing_is_enabled()  # the control: the environment says yes
        await run_graph(chain(2), {}, look)
    finally:
        monkeypatch.undo()
        forget_environment()
    assert traced == [False, False]


def test_a_graph_of_nodes_that_may_be_async_cannot_be_invoked_without_await() -> None:
    with pytest.raises(TypeError, match="ainvoke"):
        compile_graph(chain(1), behave).invoke(graph_input({}), graph_config(plan_of(chain(1))))


def test_only_the_graph_costs_the_import_of_langgraph() -> None:
    script = (
        "import sys; import agentflow.engine.walk, agentflow.engine.plan, agentflow.engine.fold; "
        "import agentflow.engine.drawing; "
        "assert not [m for m in sys.modules if m.startswith(('langgraph', 'langchain'))]; "
        "import agentflow.engine.graph; assert 'langgraph' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
