"""The walk and LangGraph run the same workflow to the same end, whatever finishes first."""

import asyncio
from collections.abc import Iterator
from importlib import import_module
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from agentflow.contracts.status import ExecutionStatus
from agentflow.engine.fold import final_state
from agentflow.engine.graph import GraphRun, run_to_end
from tests.support.pinned import PINNED, Pinned
from tests.support.specs import Json, behave, initial_states, orders, workflows
from tests.support.walks import Fleet, end_state, every_order, plan_of, run_walk


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def check_agreement(loop: asyncio.Runner, spec: Json, initial: Json, order: list[int]) -> None:
    """Both end alike. What an `any` join sees may depend on order: then only in plan order."""
    plan = plan_of(spec)
    fleet = run_walk(plan, initial, order)
    graph = loop.run(run_to_end(plan, initial, behave))
    if opened_by_several(fleet) and any(order):
        return
    assert fleet.finishes[0].status is graph.status
    if graph.status is ExecutionStatus.COMPLETED:
        assert fleet.state.summary() == graph.statuses
        assert end_state(fleet) == graph.final_state
    else:
        check_same_kind_of_failure(fleet, graph)


def check_same_kind_of_failure(fleet: Fleet, graph: GraphRun) -> None:
    """Of several failures side by side, which one ends a run is a matter of order."""
    assert fleet.finishes[0].error is not None
    assert graph.error is not None
    for error in (fleet.finishes[0].error, graph.error):
        assert error.code in {"told_to_fail", "condition_error", "budget_exceeded"}
        assert error.node_id in fleet.plan.order


def opened_by_several(fleet: Fleet) -> bool:
    return any(
        node.any_join and sum(fleet.state.taken[edge] for edge, _ in node.incoming) > 1
        for node in fleet.plan.nodes
    )


@pytest.mark.timeout(600)  # half a minute on a quiet machine
@settings(max_examples=2_000)
@given(workflows(), initial_states(), st.one_of(st.just([0]), orders()))
def test_two_thousand_random_workflows_end_alike_on_both(
    loop: asyncio.Runner, spec: Json, initial: Json, order: list[int]
) -> None:
    check_agreement(loop, spec, initial, order)


def test_a_walk_that_takes_an_edge_too_few_would_be_noticed(
    loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control, which also shows that what is found shrinks to something readable."""
    module = import_module("agentflow.engine.walk.decide")
    monkeypatch.setattr(module, "taken_edges", lambda *_, **__: set())

    def disagrees(spec: Json) -> bool:
        try:
            check_agreement(loop, spec, {}, [0])
        except AssertionError:
            return True
        return False

    calm = settings(max_examples=2000, suppress_health_check=list(HealthCheck), database=None)
    # The same start every time: how far a find shrinks within its budget is chance otherwise.
    smallest = find(workflows(), disagrees, settings=calm, random=Random(2))
    assert len(smallest["nodes"]) <= 5
    assert len(smallest["edges"]) <= 5


@pytest.mark.parametrize("pinned", PINNED, ids=lambda pinned: pinned.name)
def test_pinned_workflows_end_alike_in_every_order(loop: asyncio.Runner, pinned: Pinned) -> None:
    graph = loop.run(run_to_end(pinned.spec, pinned.initial, behave))
    assert graph.error is None
    assert "".join(sorted(graph.final_state["execution_path"])) == pinned.runs
    for fleet in every_order(pinned.spec, pinned.initial):
        state = final_state(fleet.state)
        assert len(fleet.dispatched) == len(set(fleet.dispatched))
        if not opened_by_several(fleet):
            assert state == graph.final_state


@pytest.mark.parametrize("pinned", PINNED, ids=lambda pinned: pinned.name)
def test_pinned_workflows_start_no_node_before_what_it_needs(pinned: Pinned) -> None:
    for fleet in every_order(pinned.spec, pinned.initial):
        ends: list[Any] = [event.model_dump()["node_id"] for event in fleet.log]
        for node in fleet.plan.nodes:
            if node.any_join or node.id not in fleet.dispatched:
                continue
            sources = [fleet.plan.nodes[source].id for _, source in node.incoming]
            assert all(ends.index(source) < ends.index(node.id) for source in sources)
