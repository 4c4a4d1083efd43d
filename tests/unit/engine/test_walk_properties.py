"""Random workflows walked through duplicates, crashes and late loads, against a slow oracle."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from agentflow.contracts.events import NodeCompleted
from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.engine import walk
from agentflow.engine.fold import final_state, visible_state
from agentflow.engine.walk import WalkState
from tests.support import naive_state
from tests.support.specs import Json, initial_states, orders, workflows
from tests.support.walks import Fleet, end_state, failed, plan_of, run_walk

LOTS = settings(max_examples=250)


def ran_of(state: WalkState) -> dict[str, tuple[Json, tuple[Any, ...]]]:
    ledger = state.ledger
    return {
        state.plan.nodes[place].id: (
            ledger.writes.get(place, {}),
            (ledger.outputs[place],) if place in ledger.outputs else (),
        )
        for place in range(len(state.plan.nodes))
        if ledger.ran >> place & 1
    }


def agrees_with_the_design(spec: Json, initial: Json, order: list[int]) -> bool:
    """Whether every node was shown what the slow oracle says, and the end is the fold of all."""
    fleet = run_walk(spec, initial, order)
    ran = ran_of(fleet.state)
    for node_id, shown in fleet.shown.items():
        above = naive_state.ancestors(spec, node_id)
        if shown != naive_state.state_of(spec, initial, ran, above):
            return False
    end = final_state(fleet.state)
    if "final_output" not in naive_state.state_of(spec, {}, ran, set(ran)):
        end.pop("final_output", None)
        initial = {key: value for key, value in initial.items() if key != "final_output"}
    expected: Json = {"execution_path": [], "outputs": {}}
    expected |= naive_state.state_of(spec, initial, ran, set(ran))
    return end == expected


@LOTS
@given(workflows(any_joins=False), initial_states(), orders())
def test_every_node_is_shown_what_the_design_says(
    spec: Json, initial: Json, order: list[int]
) -> None:
    assert agrees_with_the_design(spec, initial, order)


def test_showing_nodes_everything_finished_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control: visibility by timing instead of by ancestry."""
    monkeypatch.setattr(WalkState, "seen_by", lambda *_: (1 << 64) - 1)
    assert found(lambda spec: not agrees_with_the_design(spec, {}, [0]))


@LOTS
@given(workflows(), initial_states(), orders())
def test_it_ends_exactly_once_and_no_node_runs_twice(
    spec: Json, initial: Json, order: list[int]
) -> None:
    fleet = run_walk(spec, initial, order)
    assert len(fleet.finishes) == 1
    assert len(fleet.dispatched) == len(set(fleet.dispatched))
    if fleet.finishes[0].status is ExecutionStatus.COMPLETED:
        assert all(status.is_terminal for status in fleet.state.summary().values())


@LOTS
@given(workflows(), initial_states(), orders())
def test_folding_the_log_from_zero_gives_the_same_state(
    spec: Json, initial: Json, order: list[int]
) -> None:
    fleet = run_walk(spec, initial, order)
    doubled = [twin for event in fleet.log for twin in (event, event)]
    for log in (fleet.log, doubled, [*fleet.log, *fleet.log]):
        state, _ = walk.start(fleet.plan, initial)
        state = walk.replay(state, log)
        assert snapshot(state) == snapshot(fleet.state)
        assert walk.resume(state) == fleet.finishes


@LOTS
@given(workflows(), initial_states(), orders(), orders())
def test_the_order_in_which_tasks_end_changes_nothing(
    spec: Json, initial: Json, one: list[int], other: list[int]
) -> None:
    first, second = (run_walk(spec, initial, order) for order in (one, other))
    if depends_on_order(first) or depends_on_order(second):
        return
    assert first.finishes[0].status is second.finishes[0].status
    if first.finishes[0].status is ExecutionStatus.COMPLETED:
        assert end_state(first) == end_state(second)
        assert first.shown == second.shown


@LOTS
@given(workflows(), initial_states(), orders(), st.integers(1, 3))
def test_fewer_slots_give_the_same_state_unless_order_matters(
    spec: Json, initial: Json, order: list[int], slots: int
) -> None:
    wide, narrow = (run_walk(spec, initial, order, max_parallel=number) for number in (64, slots))
    if depends_on_order(wide) or depends_on_order(narrow):
        return
    assert wide.finishes[0].status is narrow.finishes[0].status
    if wide.finishes[0].status is ExecutionStatus.COMPLETED:
        assert end_state(wide) == end_state(narrow)


@LOTS
@given(
    workflows(),
    initial_states(),
    orders(),
    st.lists(st.sampled_from(["work", "crash", "double", "load"]), max_size=25),
)
def test_crashes_duplicates_and_late_loads_change_nothing(
    spec: Json, initial: Json, order: list[int], chaos: list[str]
) -> None:
    fleet = chaotic(spec, initial, order, chaos)
    assert len(fleet.finishes) == 1
    state, _ = walk.start(fleet.plan, initial)
    state = with_loads(walk.replay(state, fleet.log), fleet)
    assert snapshot(state) == snapshot(fleet.state)
    calm = run_walk(spec, initial, order)
    if depends_on_order(calm) or depends_on_order(fleet):
        return
    assert fleet.finishes[0].status is calm.finishes[0].status
    if fleet.finishes[0].status is ExecutionStatus.COMPLETED:
        assert end_state(fleet) == end_state(calm)


def test_a_second_end_that_counts_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: first wins switched off."""
    module = import_module("agentflow.engine.walk.decide")
    monkeypatch.setattr(module, "_unresolved", lambda state, node: state.plan.index.get(node))

    def breaks(spec: Json) -> bool:
        fleet = run_walk(spec)
        state, _ = walk.start(fleet.plan, {})
        doubled = [twin for event in fleet.log for twin in (event, event)]
        return snapshot(walk.replay(state, doubled)) != snapshot(fleet.state)

    assert found(breaks)


@LOTS
@given(workflows(any_joins=False), initial_states(), orders(), st.data())
def test_asking_for_some_keys_gives_those_of_the_whole(
    spec: Json, initial: Json, order: list[int], data: st.DataObject
) -> None:
    fleet = run_walk(spec, initial, order)
    node_id = data.draw(st.sampled_from(fleet.plan.order))
    whole = visible_state(fleet.state, node_id)
    keys = data.draw(st.frozensets(st.sampled_from(["x", "intent", "errors", "outputs", "cost"])))
    some = visible_state(fleet.state, node_id, keys)
    assert some == {key: value for key, value in whole.items() if key in keys}


def chaotic(spec: Json, initial: Json, order: list[int], chaos: list[str]) -> Fleet:
    """A walk with large values by reference that crashes, hears things twice and loads late."""
    fleet = Fleet(plan_of(spec), initial, by_reference=True)
    for step, what in enumerate(chaos):
        if fleet.over:
            return fleet
        if what == "crash":
            fleet.crash()
        elif what == "double" and fleet.log:
            old = fleet.log[order[step % len(order)] % len(fleet.log)]
            if isinstance(old, NodeCompleted):
                fleet.hear(old.model_copy(update={"output": "too late", "writes": {"x": 99}}))
                fleet.hear(failed(old.node_id))
        elif what == "load" and fleet.loads:
            fleet.load()
        elif fleet.tasks:
            fleet.work(order[step % len(order)])
    while not fleet.over:
        if fleet.loads:
            fleet.load()
        else:
            fleet.work(0)
    return fleet


def with_loads(state: WalkState, fleet: Fleet) -> WalkState:
    """Give the walk every value it asks for."""
    while state.needs and state.finish is None:
        walk.decide(state, walk.ValuesLoaded({ref: fleet.values[ref] for ref in state.needs}))
    return state


def snapshot(state: WalkState) -> tuple[Any, ...]:
    """Everything people see of a walk.

    Whether a node that never ran had been sent out before a failure ended the execution is not
    in the log: PENDING and CANCELLED are one here.
    """
    seen = {node.id: state.seen_by(node.index) for node in state.plan.nodes}
    statuses = {
        node_id: NodeStatus.PENDING if status is NodeStatus.CANCELLED else status
        for node_id, status in state.summary().items()
    }
    return state.finish, statuses, final_state(state), bytes(state.taken), seen


def depends_on_order(fleet: Fleet) -> bool:
    """Whether several edges into an `any` join were taken: then the first one decides."""
    return any(
        node.any_join and sum(fleet.state.taken[edge] for edge, _ in node.incoming) > 1
        for node in fleet.plan.nodes
    )


def found(breaks: Callable[[Json], bool]) -> bool:
    """Whether some random workflow breaks it."""
    quick = settings(
        max_examples=400,
        phases=[Phase.generate],  # any will do, the smallest is not needed
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    try:
        find(workflows(any_joins=False, brittle=False), breaks, settings=quick)
    except NoSuchExample:
        return False
    return True
