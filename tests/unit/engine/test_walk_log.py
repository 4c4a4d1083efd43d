"""The log decides: first word counts, replay gives the same, resume knows what is left."""

from importlib import import_module
from typing import Any

import pytest

from agentflow.contracts.ids import NodeId
from agentflow.contracts.state import REF_PREFIX
from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.engine import walk
from agentflow.engine.fold import final_state
from tests.support.specs import Json, chain, fan, llm
from tests.support.walks import (
    NOW,
    cancel_requested,
    completed,
    dispatch,
    failed,
    plan_of,
    run_here,
    run_walk,
    skipped,
    started,
)

BIG = {"$ref": f"{REF_PREFIX}big", "size": 100_000, "type": "json"}
BIG_TOO = {"$ref": f"{REF_PREFIX}too", "size": 100_000, "type": "json"}


def begin(spec: Json, *events: Any, initial: Json | None = None) -> walk.WalkState:
    state, _ = walk.start(plan_of(spec), initial or {})
    return walk.replay(state, events)


def check_a_second_end_changes_nothing() -> None:
    state = begin(fan(2), completed("first"))
    state, _first = walk.decide(state, completed("m0", "first", writes={"x": 1}))
    for late in (completed("m0", "second", writes={"x": 2}), failed("m0"), skipped("m0")):
        state, effects = walk.decide(state, late)
        assert effects == []
    state, _ = walk.decide(state, completed("m1"))
    assert final_state(state)["outputs"]["m0"] == "first"
    assert final_state(state)["x"] == 1
    assert state.finish is None


def test_a_redelivered_completion_changes_nothing() -> None:
    check_a_second_end_changes_nothing()


def test_without_first_wins_a_redelivered_completion_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control."""
    module = import_module("agentflow.engine.walk.decide")
    monkeypatch.setattr(module, "_unresolved", lambda state, node: state.plan.index.get(node))
    with pytest.raises(AssertionError):
        check_a_second_end_changes_nothing()


def test_events_the_walk_has_no_use_for_change_nothing() -> None:
    state = begin(chain(2))
    before = state.summary()
    for event in (completed("nobody"), failed("nobody"), skipped("nobody"), started("nobody")):
        assert walk.decide(state, event)[1] == []
    assert walk.decide(state, walk.ValuesLoaded({"unasked": 1}))[1] == []
    assert walk.decide(state, walk.ValuesLost(frozenset({"unasked"}), "gone"))[1] == []
    assert state.summary() == before


def test_a_nodes_way_can_be_watched() -> None:
    state = begin(chain(2))
    assert state.status("n0") is NodeStatus.QUEUED
    assert state.status("n1") is NodeStatus.PENDING
    state, _ = walk.decide(state, started("n0"))
    assert state.status("n0") is NodeStatus.RUNNING
    state, _ = walk.decide(state, retrying("n0"))
    assert state.status("n0") is NodeStatus.QUEUED
    assert state.outstanding() == ("n0",)
    state, _ = walk.decide(state, completed("n0"))
    assert state.status("n0") is NodeStatus.COMPLETED
    assert walk.decide(state, started("n0"))[0].status("n0") is NodeStatus.COMPLETED


def retrying(node_id: str) -> Any:
    from agentflow.contracts.events import NodeRetrying

    fields = failed(node_id).model_dump()
    return NodeRetrying(**fields, delay_seconds=1)


def test_a_copy_does_not_follow_the_original() -> None:
    state = begin(fan(2), completed("first", 1))
    twin = state.copy()
    walk.replay(state, [completed("m0", 2), completed("m1", 3)])
    assert twin.outstanding() == ("m0", "m1")
    assert final_state(twin)["execution_path"] == ["first"]
    walk.replay(twin, [completed("m1", 4)])
    assert final_state(state)["outputs"]["m1"] == 3


def test_resume_names_what_was_begun_and_has_no_end_in_the_log() -> None:
    spec = fan(2)
    spec["nodes"][1]["type"] = "input"
    state = begin(spec, completed("first"))
    assert walk.resume(state) == [run_here("m0"), dispatch("m1")]
    state = begin(spec, completed("first"), completed("m1"))
    assert walk.resume(state) == [run_here("m0")]


def test_resume_of_an_empty_log_is_the_start() -> None:
    state, effects = walk.start(plan_of(chain(3)), {})
    assert walk.resume(state) == effects == [dispatch("n0")]


def test_resume_records_the_skips_the_log_does_not_hold() -> None:
    spec = chain(4)
    spec["edges"][0]["condition"] = "false"
    spec["edges"].append({"from": "n0", "to": "n3"})
    state = begin(spec, completed("n0"), skipped("n1"))
    reason = "no way into the node was taken"
    assert walk.resume(state) == [walk.RecordSkipped(NodeId("n2"), reason), dispatch("n3")]
    state = walk.replay(state, [skipped("n2")])
    assert walk.resume(state) == [dispatch("n3")]


def test_a_recorded_end_stands_even_where_this_release_would_have_skipped() -> None:
    """A condition may be judged otherwise by a later release; the log is not."""
    spec = chain(3)
    spec["edges"][0]["condition"] = "false"
    state = begin(spec, completed("n1", 1), completed("n0", 0))
    assert state.status("n1") is NodeStatus.COMPLETED
    assert state.outstanding() == ("n2",)


def test_a_recorded_skip_stands_even_where_this_release_would_have_run() -> None:
    state = begin(chain(3), skipped("n1"), completed("n0"))
    assert state.status("n1") is NodeStatus.SKIPPED
    assert state.finish == walk.Finish(ExecutionStatus.COMPLETED)
    assert walk.resume(state) == [state.finish]


def test_a_dispatched_node_the_log_calls_skipped_frees_its_slot() -> None:
    state, _ = walk.start(plan_of(fan(3)), {}, max_parallel=1)
    state = walk.replay(state, [completed("first"), skipped("m0")])
    assert state.outstanding() == ("m1",)


def conditional(*, when: bool = False) -> Json:
    """a and b side by side; a's way to c reads a large value; c is an `any` join of a and b."""
    spec: Json = {
        "start_node": "s",
        "nodes": [llm("s"), llm("a"), llm("b"), llm("c", join="any"), llm("d")],
        "edges": [
            {"from": "s", "to": ["a", "b"]},
            {"from": "a", "to": "c", "condition": "big.n == 1"},
            {"from": "b", "to": "c"},
            {"from": "c", "to": "d"},
        ],
    }
    if when:
        spec["edges"][1].pop("condition")
        spec["nodes"][1]["when"] = "big.n == 1"
    return spec


def loaded(n: int) -> walk.ValuesLoaded:
    return walk.ValuesLoaded({BIG["$ref"]: {"n": n}})  # type: ignore[dict-item]  # a ref is text


def test_a_condition_on_a_large_value_has_it_loaded_first() -> None:
    state = begin(conditional(), completed("s", writes={"big": BIG}))
    state, effects = walk.decide(state, completed("a"))
    assert effects == [walk.LoadValues(frozenset({f"{REF_PREFIX}big"}))]
    assert walk.resume(state) == [*effects, dispatch("b")]
    state, effects = walk.decide(state, loaded(1))
    assert effects == [dispatch("c")]
    assert state.loaded == {}


def test_a_large_value_that_is_not_what_the_condition_wants_closes_the_edge() -> None:
    state = begin(conditional(), completed("s", writes={"big": BIG}), completed("a"), loaded(2))
    assert state.outstanding() == ("b",)


@pytest.mark.parametrize("load_at", [1, 2, 3])
def test_who_opens_an_any_join_does_not_depend_on_how_long_loading_takes(load_at: int) -> None:
    log: list[Any] = [completed("a"), completed("b"), completed("c")]
    log.insert(load_at, loaded(1))
    state = begin(conditional(), completed("s", writes={"big": BIG}), *log)
    assert state.plan.ids(state.seen_by(state.plan.index["c"])) == ("s", "a")
    assert state.outstanding() == ("d",)


@pytest.mark.parametrize("load_at", [0, 1, 2])
def test_a_when_on_a_large_value_holds_back_only_its_own_node_and_what_came_later(
    load_at: int,
) -> None:
    log: list[Any] = [completed("b"), completed("c")]
    log.insert(load_at, loaded(2))
    state = begin(conditional(when=True), completed("s", writes={"big": BIG}), *log)
    assert state.status("a") is NodeStatus.SKIPPED
    assert state.outstanding() == ("d",)


def test_several_large_values_are_waited_for_together() -> None:
    spec = chain(2)
    spec["edges"][0]["condition"] = "big == 1 && outputs.n0 == 2 && errors[0] == 3"
    state = begin(spec, initial={"big": BIG, "errors": [BIG]})
    state, [effect] = walk.decide(state, completed("n0", BIG_TOO))
    assert effect == walk.LoadValues(frozenset({f"{REF_PREFIX}big", f"{REF_PREFIX}too"}))
    state, effects = walk.decide(state, walk.ValuesLoaded({f"{REF_PREFIX}too": 2}))
    assert effects == []
    assert walk.resume(state) == [walk.LoadValues(frozenset({f"{REF_PREFIX}big"}))]
    state, effects = walk.decide(state, walk.ValuesLoaded({f"{REF_PREFIX}big": 1}))
    assert isinstance(effects[-1], walk.Finish)
    assert state.status("n1") is NodeStatus.SKIPPED


def test_a_large_value_nobody_has_any_more_fails_the_execution() -> None:
    state = begin(conditional(), completed("s", writes={"big": BIG}), completed("a"))
    lost = walk.ValuesLost(frozenset({f"{REF_PREFIX}big"}), "the object store has no such value.")
    state, [finish] = walk.decide(state, lost)
    assert isinstance(finish, walk.Finish)
    assert finish.error is not None
    assert finish.error.code == "condition_error"
    assert "no such value" in finish.error.message


def test_a_cancel_does_not_wait_for_a_load() -> None:
    state = begin(conditional(), completed("s", writes={"big": BIG}), completed("a"))
    state = walk.replay(state, [completed("b", "late"), cancel_requested()])
    assert state.finish is not None
    assert state.finish.status is ExecutionStatus.CANCELLED
    assert final_state(state)["outputs"]["b"] == "late"
    assert walk.decide(state, walk.DeadlinePassed(NOW))[1] == []


def test_replaying_a_log_whose_conditions_still_wait_for_values_ends_the_same() -> None:
    """The log goes on behind a condition the new owner has not decided yet."""
    fleet = run_walk(conditional(), {"big": {"n": 1}}, by_reference=False)
    state, _ = walk.start(plan_of(conditional()), {"big": BIG})
    state = walk.replay(state, fleet.log)
    assert state.finish is None
    state, _ = walk.decide(state, loaded(1))
    assert state.finish == fleet.state.finish
    assert state.summary() == fleet.state.summary()
