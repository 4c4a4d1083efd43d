"""When things happen: no barrier, no more than allowed at once, no work that grows."""

import sys
from heapq import heappop, heappush
from types import FrameType
from typing import Any

import pytest

from agentflow.engine import walk
from agentflow.engine.fold import visible_state
from tests.support.specs import Json, chain, fan, llm
from tests.support.walks import Fleet, completed, dispatch, plan_of

UNEQUAL: Json = {
    "start_node": "start",
    "nodes": [llm(n) for n in ("start", "fast", "after_fast", "last_fast", "slow", "join")],
    "edges": [
        {"from": "start", "to": ["fast", "slow"]},
        {"from": "fast", "to": "after_fast"},
        {"from": "after_fast", "to": "last_fast"},
        {"from": "last_fast", "to": "join"},
        {"from": "slow", "to": "join"},
    ],
}
DURATIONS = {"start": 1, "fast": 1, "after_fast": 5, "last_fast": 1, "slow": 7, "join": 1}


def simulate(spec: Json, durations: dict[str, int]) -> tuple[list[tuple[int, str, str]], int]:
    """What happens when, on a clock of its own: (time, "starts" or "ends", node), and the end."""
    fleet = Fleet(plan_of(spec), {})
    happened: list[tuple[int, str, str]] = []
    running: list[tuple[int, str]] = []
    now = 0
    while not fleet.over:
        for node_id in sorted(fleet.tasks.keys() - {node for _, node in running}):
            happened.append((now, "starts", node_id))
            heappush(running, (now + durations[node_id], node_id))
        now, node_id = heappop(running)
        happened.append((now, "ends", node_id))
        fleet.hear(fleet.end_of(node_id, fleet.tasks.pop(node_id)))
    return happened, now


def test_a_fast_branch_goes_on_while_its_slow_sibling_runs() -> None:
    happened, _ = simulate(UNEQUAL, DURATIONS)
    order = [(what, node) for _, what, node in happened]
    assert order.index(("starts", "after_fast")) < order.index(("ends", "slow"))
    assert order.index(("starts", "last_fast")) < order.index(("ends", "slow"))
    assert order[-2:] == [("starts", "join"), ("ends", "join")]


def test_unequal_branches_take_their_critical_path_and_not_the_sum_of_stages() -> None:
    _, took = simulate(UNEQUAL, DURATIONS)
    plan = plan_of(UNEQUAL)
    stages = sum(max(DURATIONS[node] for node in stage) for stage in plan.stages)
    assert took == 1 + max(1 + 5 + 1, 7) + 1 == 9
    assert stages == 15


def test_every_node_starts_the_moment_its_last_source_ends() -> None:
    happened, _ = simulate(UNEQUAL, DURATIONS)
    at = {(what, node): time for time, what, node in happened}
    for node in plan_of(UNEQUAL).nodes:
        sources = [at["ends", UNEQUAL_ID[source]] for _, source in node.incoming]
        assert at["starts", node.id] == max(sources, default=0)


UNEQUAL_ID = plan_of(UNEQUAL).order


def most_at_once(width: int, max_parallel: int) -> int:
    fleet = Fleet(plan_of(fan(width)), {}, max_parallel=max_parallel)
    most = 0
    while not fleet.over:
        most = max(most, len(fleet.tasks))
        fleet.work(0)
    return most


def test_no_more_nodes_run_at_once_than_allowed() -> None:
    assert most_at_once(20, 3) == 3
    assert most_at_once(20, 64) == 20  # the control: it is the limit that holds them back


def test_nodes_that_wait_for_a_slot_start_in_plan_order() -> None:
    fleet = Fleet(plan_of(fan(5)), {}, max_parallel=2)
    fleet.work(0)
    fleet.work(1)
    fleet.work(0)
    assert fleet.dispatched == ["first", "m0", "m1", "m2", "m3"]


def test_a_node_decided_in_place_takes_no_slot() -> None:
    spec = fan(3)
    for node in spec["nodes"][1:3]:
        node["type"] = "input"
    fleet = Fleet(plan_of(spec), {}, max_parallel=1)
    fleet.work(0)
    assert fleet.dispatched == ["first", "m0", "m1", "m2"]


def test_one_slot_is_enough_for_everything() -> None:
    assert most_at_once(5, 1) == 1


def test_a_join_that_becomes_ready_is_not_held_up_by_a_free_slot() -> None:
    state, _ = walk.start(plan_of(fan(2)), {}, max_parallel=1)
    state, effects = walk.decide(state, completed("first"))
    assert effects == [dispatch("m0")]
    state, effects = walk.decide(state, completed("m0"))
    assert effects == [dispatch("m1")]
    state, effects = walk.decide(state, completed("m1"))
    assert effects == [dispatch("last")]


def calls_per_node(spec: Json) -> float:
    """Function calls, Python's and C's, that one walk makes per node, each view included."""
    plan = plan_of(spec)
    ends = {node: completed(node, "text", output_key="text_result") for node in plan.order}
    calls = 0

    def count(_frame: FrameType, what: str, _argument: Any) -> None:
        nonlocal calls
        calls += what in ("call", "c_call")

    sys.setprofile(count)
    try:
        state, effects = walk.start(plan, {"user_input": "hello"})
        waiting = list(effects)
        while waiting:
            effect = waiting.pop()
            if isinstance(effect, walk.DispatchNode):
                visible_state(state, effect.node_id, {"text_result", "user_input"})
                state, effects = walk.decide(state, ends[effect.node_id])
                waiting += effects
    finally:
        sys.setprofile(None)
    assert state.finish is not None
    return calls / len(plan.nodes)


@pytest.mark.parametrize(("small", "large"), [(chain(10), chain(1000)), (fan(8), fan(998))])
def test_a_thousand_nodes_cost_no_more_work_per_node_than_ten(small: Json, large: Json) -> None:
    assert calls_per_node(large) < calls_per_node(small) * 1.3
