"""The state of an execution: what a node sees, and what is left at the end."""

from typing import Any

import pytest

from agentflow.contracts.state import REF_PREFIX
from agentflow.engine import walk
from agentflow.engine.fold import final_state, visible_state
from agentflow.engine.walk import WalkState
from tests.support.specs import Json, chain, fan, llm
from tests.support.walks import completed, failed, plan_of, skipped

DIAMOND: Json = {
    "start_node": "a",
    "nodes": [llm(node) for node in "abcd"],
    "edges": [
        {"from": "a", "to": ["b", "c"]},
        {"from": "b", "to": "d"},
        {"from": "c", "to": "d"},
    ],
}


def after(spec: Json, *ends: Any, initial: Json | None = None) -> WalkState:
    """The walk once these events were folded."""
    state, _ = walk.start(plan_of(spec), initial or {})
    return walk.replay(state, ends)


def test_the_first_node_sees_the_initial_state_as_it_is() -> None:
    initial = {"user_input": "hi", "errors": None, "tokens_used": "odd", "nested": {"a": [1]}}
    assert visible_state(after(DIAMOND, initial=initial), "a") == initial


def test_a_node_sees_its_ancestors_and_not_its_neighbours() -> None:
    state = after(
        DIAMOND,
        completed("a", 1, writes={"x": "a"}),
        completed("c", 3, writes={"x": "c", "only_c": True}),
    )
    assert visible_state(state, "b") == {"x": "a", "outputs": {"a": 1}, "execution_path": ["a"]}


@pytest.mark.parametrize("order", ["bc", "cb"])
def test_of_two_parallel_writers_the_last_in_plan_order_wins(order: str) -> None:
    ends = [completed(node, writes={"x": node}) for node in order]
    assert visible_state(after(DIAMOND, completed("a"), *ends), "d", {"x"}) == {"x": "c"}


@pytest.mark.parametrize("order", ["bc", "cb"])
def test_numbers_add_objects_merge_lists_append_in_plan_order(order: str) -> None:
    writes = {
        "b": {"tokens_used": 2, "cost": 0.5, "metadata": {"k": "b", "b": 1}, "errors": ["b"]},
        "c": {"tokens_used": 3, "cost": None, "metadata": {"k": "c"}, "errors": ["c"]},
    }
    initial = {"tokens_used": 10, "metadata": {"k": 0, "i": 0}, "execution_path": ["before"]}
    ends = [completed(node, writes=writes[node]) for node in order]
    seen = visible_state(after(DIAMOND, completed("a"), *ends, initial=initial), "d")
    assert seen["tokens_used"] == 15
    assert seen["cost"] == 0.5
    assert seen["metadata"] == {"k": "c", "i": 0, "b": 1}
    assert seen["errors"] == ["b", "c"]
    assert seen["execution_path"] == ["before", "a", "b", "c"]


def test_a_value_a_reducer_cannot_use_replaces_or_is_one_more_element() -> None:
    reference = {"$ref": f"{REF_PREFIX}1", "size": 1, "type": "json"}
    state = after(
        chain(3),
        completed("n0", writes={"tokens_used": 1, "metadata": {"a": 1}, "errors": "text"}),
        completed("n1", writes={"tokens_used": "many", "metadata": reference, "errors": reference}),
    )
    seen = visible_state(state, "n2")
    assert seen["tokens_used"] == "many"
    assert seen["metadata"] == reference
    assert seen["errors"] == ["text", reference]


def test_an_unknown_cost_alone_stays_unknown() -> None:
    state = after(chain(2), completed("n0", writes={"cost": None}))
    assert visible_state(state, "n1", {"cost"}) == {"cost": None}


def test_the_output_key_is_a_write_and_the_output_is_kept_by_node() -> None:
    state = after(chain(2), completed("n0", "text", output_key="text_result"))
    assert visible_state(state, "n1", {"text_result", "outputs"}) == {
        "text_result": "text",
        "outputs": {"n0": "text"},
    }


def test_no_write_can_touch_the_outputs() -> None:
    state = after(
        chain(2), completed("n0", 1, output_key="outputs", writes={"outputs": {"n0": "forged"}})
    )
    assert visible_state(state, "n1")["outputs"] == {"n0": 1}


def test_outputs_given_at_the_start_stay_beside_the_nodes_own() -> None:
    state = after(chain(2), completed("n0", 1), initial={"outputs": {"old": 0, "n0": "old"}})
    assert visible_state(state, "n1", {"outputs"}) == {"outputs": {"old": 0, "n0": 1}}
    assert visible_state(state, "n1", {"outputs.old"}) == {"outputs": {"old": 0}}


def test_one_nodes_output_can_be_asked_for_alone() -> None:
    state = after(DIAMOND, completed("a", 1), completed("b", 2), completed("c", 3))
    assert visible_state(state, "d", {"outputs.b", "outputs.c"}) == {"outputs": {"b": 2, "c": 3}}
    assert visible_state(state, "b", {"outputs.c"}) == {}
    assert visible_state(state, "d", {"outputs.nobody"}) == {}


def test_a_key_that_looks_like_an_output_is_data_in_the_whole_state() -> None:
    initial = {"outputs.a": 1, "outputsize": 2}
    assert visible_state(after(DIAMOND, initial=initial), "a") == initial


def test_only_the_keys_asked_for_are_there_and_only_if_they_exist() -> None:
    state = after(chain(2), completed("n0", writes={"x": 1, "y": 2}), initial={"z": None})
    assert visible_state(state, "n1", {"x", "z", "nothing"}) == {"x": 1, "z": None}


def test_a_node_that_is_not_in_the_plan_is_an_error() -> None:
    with pytest.raises(KeyError):
        visible_state(after(DIAMOND), "nobody")


def test_the_initial_state_cannot_be_changed_from_outside() -> None:
    initial: Json = {"metadata": {"a": 1}, "deep": {"list": [1]}}
    state = after(DIAMOND, initial=initial)
    initial["deep"]["list"].append(2)
    initial["metadata"]["b"] = 2
    assert visible_state(state, "a") == {"metadata": {"a": 1}, "deep": {"list": [1]}}


def test_containers_handed_out_are_new_each_time() -> None:
    state = after(
        chain(2),
        completed("n0", 1, writes={"metadata": {"a": 1}, "errors": ["e"]}),
        initial={"execution_path": ["p"]},
    )
    before = visible_state(state, "n1")
    for key in ("metadata", "outputs"):
        visible_state(state, "n1")[key]["forged"] = 1
    for key in ("errors", "execution_path"):
        visible_state(state, "n1")[key].append("forged")
    visible_state(state, "n0")["execution_path"].append("forged")
    assert visible_state(state, "n1") == before


def test_the_final_state_is_a_copy_to_the_bottom() -> None:
    state = after(chain(1), completed("n0", {"deep": [1]}, writes={"x": {"y": [1]}}))
    first = final_state(state)
    first["x"]["y"].append(2)
    first["outputs"]["n0"]["deep"].append(2)
    assert final_state(state)["x"] == {"y": [1]}
    assert final_state(state)["final_output"] == {"deep": [1]}


def test_the_final_output_is_that_of_the_only_sink() -> None:
    ends = [completed(node, node.upper()) for node in "abcd"]
    assert final_state(after(DIAMOND, *ends))["final_output"] == "D"


def test_several_sinks_give_an_object_by_node() -> None:
    spec = {**DIAMOND, "edges": [{"from": "a", "to": ["b", "c", "d", "END"]}]}
    ends = [completed("a"), completed("d", 4), completed("b", 2), failed("c")]
    spec["nodes"] = [llm("a"), llm("b"), llm("c", on_error="continue"), llm("d")]
    state = final_state(after(spec, *ends))
    assert state["final_output"] == {"b": 2, "d": 4}
    assert "c" in state["execution_path"]
    assert state["errors"] == [{"node_id": "c", "code": "broken", "message": "no luck"}]


def test_a_final_output_a_node_wrote_stays() -> None:
    state = after(
        chain(2), completed("n0", writes={"final_output": "mine"}), completed("n1", "other")
    )
    assert final_state(state)["final_output"] == "mine"


def test_where_no_branch_reached_a_sink_the_last_that_ran_stands_in() -> None:
    spec = {**DIAMOND, "edges": [*DIAMOND["edges"][:1], {"from": "b", "to": "d", "condition": "x"}]}
    spec["edges"] = [
        {"from": "a", "to": "b"},
        {"from": "b", "to": ["c", "d"], "condition": "false"},
    ]
    assert final_state(after(spec, completed("a", 1), completed("b", 2)))["final_output"] == 2


def test_a_state_that_is_not_final_has_no_final_output_of_its_own() -> None:
    state = final_state(after(DIAMOND, completed("a", 1, writes={"x": 1}), failed("b")))
    assert state == {
        "x": 1,
        "outputs": {"a": 1},
        "errors": [{"node_id": "b", "code": "broken", "message": "no luck"}],
        "execution_path": ["a", "b"],
    }


def test_a_workflow_of_which_nothing_ran_has_an_empty_path() -> None:
    spec = {**chain(1), "nodes": [llm("n0", when="false")]}
    assert final_state(after(spec, skipped("n0"))) == {"outputs": {}, "execution_path": []}


def test_the_order_of_keys_does_not_depend_on_the_order_of_events() -> None:
    ends = {node: completed(node, writes={node: 1, "tokens_used": 1}) for node in "abcd"}
    states = [final_state(after(DIAMOND, *(ends[n] for n in order))) for order in ("abcd", "acbd")]
    assert list(states[0]) == list(states[1])


def test_a_fan_of_writers_shows_each_neighbour_only_what_is_above_it() -> None:
    spec = fan(50)
    ends = [completed(f"m{i}", writes={"x": i}) for i in reversed(range(1, 50))]
    state = after(spec, completed("first", writes={"x": "above"}), *ends)
    assert visible_state(state, "m0", {"x"}) == {"x": "above"}
    state = walk.replay(state, [completed("m0", writes={"x": 0})])
    assert visible_state(state, "last", {"x"}) == {"x": 49}
