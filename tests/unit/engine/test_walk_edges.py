"""Which edges are taken, who runs, who is skipped."""

from typing import Any

import pytest

from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.engine import walk
from agentflow.engine.fold import final_state
from tests.support.specs import Json, chain, llm
from tests.support.walks import Fleet, completed, every_order, plan_of, run_walk


def path(spec: Json, initial: Json | None = None) -> str:
    """Who ran, whatever the order in which tasks end."""
    paths = {"".join(final_state(f.state)["execution_path"]) for f in every_order(spec, initial)}
    assert len(paths) == 1
    return paths.pop()


def spec_of(edges: list[Json], nodes: str = "abcd", **settings: Json) -> Json:
    return {
        "start_node": "a",
        "nodes": [llm(node, **settings.get(node, {})) for node in nodes],
        "edges": edges,
    }


def edge(source: str, to: Any, condition: str | None = None) -> Json:
    return {"from": source, "to": to, **({"condition": condition} if condition else {})}


def writes(**keys: Any) -> Json:
    return {"writes": keys}


def test_an_edge_without_condition_is_taken_and_several_targets_are_a_fan_out() -> None:
    assert path(spec_of([edge("a", ["b", "c"]), edge("c", "d")])) == "abcd"


def test_a_condition_sees_what_its_node_saw_and_wrote() -> None:
    spec = spec_of(
        [edge("a", "b"), edge("b", "c", "x == 1 && y == 2")], a=writes(x=1), b=writes(y=2)
    )
    assert path(spec) == "abc"


def test_a_condition_does_not_see_what_others_finished_meanwhile() -> None:
    edges = [edge("a", ["b", "c"]), edge("c", "d", "x == 1")]
    assert path(spec_of(edges, a=writes(x=0), b=writes(x=1))) == "abc"


def test_a_condition_can_read_its_own_output() -> None:
    assert path(spec_of([edge("a", "b", "outputs.a.of == 'a'")])) == "ab"


@pytest.mark.parametrize(
    ("intent", "chosen"),
    [
        ("text", "text"),
        ("tex", "text"),
        ("image", "image"),
        ("handler", "other_handler"),
        ("e", "other_handler"),
        ("nothing", "other_handler"),
        ("", "other_handler"),
        (7, "other_handler"),
        (None, "other_handler"),
    ],
)
def test_an_intent_picks_the_equal_else_the_only_similar_else_the_first(
    intent: Any, chosen: str
) -> None:
    targets = ["other_handler", "image_handler", "text", "image"]
    spec = {
        "start_node": "r",
        "nodes": [llm("r", writes={"intent": intent}), *(llm(target) for target in targets)],
        "edges": [edge("r", targets, "intent")],
    }
    assert final_state(run_walk(spec).state)["execution_path"] == ["r", chosen]


def test_an_intent_may_pick_the_end() -> None:
    assert path(spec_of([edge("a", ["b", "END"], "intent")], a=writes(intent="END"))) == "a"


def test_an_intent_with_one_target_takes_it() -> None:
    assert path(spec_of([edge("a", "b", "intent")])) == "ab"


@pytest.mark.parametrize(("x", "expected"), [(1, "ab"), (2, "ac"), (3, "ad")])
def test_else_is_taken_when_no_other_conditional_edge_is(x: int, expected: str) -> None:
    edges = [edge("a", "b", "x == 1"), edge("a", "c", "x == 2"), edge("a", "d", "else")]
    assert path(spec_of(edges), {"x": x}) == expected


def test_an_unconditional_edge_does_not_count_for_else() -> None:
    assert path(spec_of([edge("a", "b"), edge("a", "c", "else")], "abc")) == "abc"


def test_a_condition_towards_the_end_counts_for_else() -> None:
    edges = [edge("a", "END", "x == 1"), edge("a", "b", "else")]
    assert path(spec_of(edges), {"x": 1}) == "a"
    assert path(spec_of(edges), {"x": 2}) == "ab"


def test_a_join_runs_once_after_all_branches_that_were_taken() -> None:
    edges = [edge("a", ["b", "c"]), edge("b", "d"), edge("c", "e"), edge("e", "d")]
    for fleet in every_order(spec_of(edges, "abcde")):
        assert fleet.dispatched.count("d") == 1
        assert fleet.dispatched[-1] == "d"


def test_a_join_does_not_wait_for_a_branch_that_was_not_taken() -> None:
    edges = [edge("a", ["b", "c"], "intent"), edge("b", "d"), edge("c", "d")]
    assert path(spec_of(edges, a=writes(intent="b"))) == "abd"


def test_a_skip_travels_on_and_stops_where_something_was_taken() -> None:
    edges = [edge("a", "b", "false"), edge("b", "c"), edge("c", "d"), edge("a", "d")]
    fleet = run_walk(spec_of(edges))
    assert fleet.state.summary() == {
        "a": NodeStatus.COMPLETED,
        "b": NodeStatus.SKIPPED,
        "c": NodeStatus.SKIPPED,
        "d": NodeStatus.COMPLETED,
    }


def test_10000_skips_in_a_row_are_no_trouble() -> None:
    spec = chain(10_000)
    spec["edges"][0]["condition"] = "false"
    state, _ = walk.start(plan_of(spec), {})
    state, effects = walk.decide(state, completed("n0"))
    assert sum(isinstance(effect, walk.RecordSkipped) for effect in effects) == 9_999
    assert effects[-1] == walk.Finish(ExecutionStatus.COMPLETED)


def test_an_orphan_is_skipped_and_says_why() -> None:
    state, effects = walk.start(plan_of(spec_of([edge("a", "b"), edge("c", "b")], "abc")), {})
    assert walk.RecordSkipped(state.plan.nodes[1].id, "no edge leads to the node") in effects
    assert path(spec_of([edge("a", "b"), edge("c", "b")], "abc")) == "ab"


def test_a_start_node_behind_an_orphan_still_starts() -> None:
    spec = {**spec_of([edge("b", "a"), edge("a", "c")], "abc"), "start_node": "a"}
    assert path(spec) == "ac"
    spec["nodes"][0]["join"] = "any"
    assert path(spec) == "ac"


def test_when_decides_on_what_the_node_sees() -> None:
    edges = [edge("a", ["b", "c"]), edge("b", "d"), edge("c", "d")]
    spec = spec_of(edges, a=writes(x=1), b={"when": "x == 2"}, c={"when": "x == 1"})
    assert path(spec) == "acd"


def test_a_node_whose_when_is_false_says_so() -> None:
    fleet = run_walk(spec_of([edge("a", "b")], "ab", b={"when": "x == 2"}))
    assert [
        event.model_dump()["reason"] for event in fleet.log if "reason" in event.model_dump()
    ] == ["`when` is false: x == 2"]


def test_two_edges_between_the_same_nodes_run_the_target_once() -> None:
    spec = spec_of([edge("a", "b", "x == 1"), edge("a", "b")], "ab")
    assert path(spec) == "ab"


def test_an_any_join_runs_at_the_first_edge_taken_and_only_once() -> None:
    edges = [edge("a", ["b", "c"]), edge("b", "d"), edge("c", "d"), edge("d", "e")]
    spec = spec_of(edges, "abcde", d={"join": "any"})
    fleet = Fleet(plan_of(spec), {})
    fleet.work(0)
    fleet.hear(fleet.end_of("c", fleet.tasks.pop("c")))
    assert "d" in fleet.tasks
    fleet.hear(fleet.end_of("d", fleet.tasks.pop("d")))
    assert fleet.tasks.keys() == {"b", "e"}
    while fleet.tasks:
        fleet.work(0)
    assert fleet.finishes == [walk.Finish(ExecutionStatus.COMPLETED)]
    assert fleet.dispatched.count("d") == 1
    assert path(spec) == "abcde"


def test_an_any_join_sees_what_lies_behind_the_edge_that_opened_it() -> None:
    edges = [edge("a", ["b", "c"]), edge("b", "d"), edge("c", "d"), edge("d", "e")]
    spec = spec_of(edges, "abcde", d={"join": "any"})
    for order, door in (("abcde", "b"), ("acbde", "c")):
        fleet = Fleet(plan_of(spec), {})
        for node in order:
            fleet.hear(fleet.end_of(node, fleet.tasks.pop(node)))
        assert fleet.shown["d"]["execution_path"] == ["a", door]
        assert fleet.shown["e"]["execution_path"] == ["a", door, "d"]
        assert final_state(fleet.state)["execution_path"] == [*"abcde"]


def test_a_join_behind_an_any_join_sees_all_its_own_branches() -> None:
    edges = [edge("a", ["b", "c"]), edge("b", "d"), edge("c", ["d", "e"]), edge("d", "e")]
    spec = spec_of(edges, "abcde", d={"join": "any"})
    fleet = Fleet(plan_of(spec), {})
    for node in "abdce":
        fleet.hear(fleet.end_of(node, fleet.tasks.pop(node)))
    assert fleet.shown["e"]["execution_path"] == [*"abcd"]


def test_an_any_join_no_edge_of_which_is_taken_is_skipped() -> None:
    edges = [edge("a", ["b", "c"]), edge("b", "d", "false"), edge("c", "d", "false")]
    assert path(spec_of(edges, d={"join": "any"})) == "abc"
