"""The plan: order, stages, critical path, parallel edges, and refusals."""

import pytest

from agentflow.contracts.errors import InvalidSpec
from agentflow.contracts.spec import WorkflowSpec
from agentflow.engine import graph_order
from agentflow.engine import plan as plans
from agentflow.engine.definition import definition_hash
from tests.support.specs import Json, chain, fan, llm
from tests.support.walks import plan_of


def spec_of(*edges: tuple[str, str], nodes: str = "abcdef", **more: object) -> Json:
    return {
        "start_node": nodes[0],
        "nodes": [llm(node) for node in nodes],
        "edges": [{"from": source, "to": target} for source, target in edges],
        **more,
    }


def issues_of(spec: Json) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as refusal:
        plan_of(spec)
    return {issue.code: issue.message for issue in refusal.value.issues}


def test_plan_order_is_rank_then_order_in_the_spec() -> None:
    plan = plan_of(spec_of(("a", "f"), ("a", "c"), ("f", "b"), ("c", "b"), ("b", "d"), ("a", "e")))
    assert plan.order == ("a", "c", "e", "f", "b", "d")


def test_rank_is_the_longest_way_in() -> None:
    plan = plan_of(spec_of(("a", "b"), ("b", "c"), ("a", "c"), nodes="abc"))
    assert [node.rank for node in plan.nodes] == [0, 1, 2]


def test_stages_are_nodes_of_equal_rank() -> None:
    plan = plan_of(spec_of(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), nodes="abcd"))
    assert plan.stages == (("a",), ("b", "c"), ("d",))


def test_the_critical_path_is_the_longest_chain() -> None:
    edges = ("a", "b"), ("a", "c"), ("c", "d"), ("d", "e"), ("b", "e"), ("a", "f")
    assert plan_of(spec_of(*edges)).critical_path == ("a", "c", "d", "e")


def test_the_plan_can_be_shown() -> None:
    spec = spec_of(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), nodes="abcd")
    view = plan_of(spec).view()
    assert view.order == ("a", "b", "c", "d")
    assert view.parallel_edges == (("a", "b"), ("a", "c"))
    assert view.definition_hash == definition_hash(WorkflowSpec.model_validate(spec))


def test_targets_that_depend_on_each_other_are_not_parallel() -> None:
    plan = plan_of(spec_of(("a", "b"), ("a", "c"), ("b", "c"), nodes="abc"))
    assert plan.parallel_edges == ()


def test_targets_of_which_an_intent_picks_one_are_not_parallel() -> None:
    spec = spec_of(("a", "d"), nodes="abcd")
    spec["edges"].append({"from": "a", "to": ["b", "c"], "condition": "intent"})
    assert plan_of(spec).parallel_edges == (("a", "d"), ("a", "b"), ("a", "c"))
    del spec["edges"][0]
    assert plan_of(spec).parallel_edges == ()


def test_else_is_not_parallel_to_a_condition_but_to_what_is_always_taken() -> None:
    spec = spec_of(nodes="abc")
    spec["edges"] = [
        {"from": "a", "to": "b", "condition": "x == 1"},
        {"from": "a", "to": "c", "condition": "else"},
    ]
    assert plan_of(spec).parallel_edges == ()
    del spec["edges"][0]["condition"]
    assert plan_of(spec).parallel_edges == (("a", "b"), ("a", "c"))


def test_a_way_taken_on_error_is_parallel_to_nothing_and_counts_for_ranks() -> None:
    spec = spec_of(("a", "b"), nodes="abc")
    spec["nodes"][0]["on_error"] = {"goto": "c"}
    plan = plan_of(spec)
    assert plan.parallel_edges == ()
    assert plan.stages == (("a",), ("b", "c"))


def test_ancestors_are_known_across_all_ways() -> None:
    plan = plan_of(spec_of(("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "e")))
    assert plan.ids(plan.node("d").ancestors) == ("a", "b", "c")
    assert plan.ids(plan.node("e").ancestors) == ("a",)


def test_reads_are_known_per_node() -> None:
    spec = spec_of(("a", "b"), nodes="ab")
    spec["nodes"][1] = llm("b", prompt="Say {greeting}")
    plan = plan_of(spec)
    assert "greeting" in (plan.reads("b") or ())
    spec["nodes"][1] = llm("b", type="input")
    assert plan_of(spec).reads("b") is None


def test_a_pure_node_with_a_pool_is_not_decided_here() -> None:
    spec = spec_of(("a", "b"), nodes="ab")
    spec["nodes"] = [llm("a", type="input"), llm("b", type="input", pool="input")]
    plan = plan_of(spec)
    assert plan.node("a").pure
    assert not plan.node("b").pure


def test_a_condition_on_one_output_reads_only_that_output() -> None:
    spec = spec_of(nodes="ab")
    spec["edges"] = [{"from": "a", "to": "b", "condition": "outputs.a.n > 0 && x == 1"}]
    assert plan_of(spec).node("a").exit_keys == {"outputs.a", "x"}
    spec["edges"] = [{"from": "a", "to": "b", "condition": "outputs['a'] == 1"}]
    assert plan_of(spec).node("a").exit_keys == {"outputs.a"}
    spec["edges"] = [{"from": "a", "to": "b", "condition": "'a' in outputs && outputs.a == 1"}]
    assert plan_of(spec).node("a").exit_keys == {"outputs"}


def test_a_cycle_names_its_edges() -> None:
    issues = issues_of(spec_of(("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")))
    assert issues == {"cycle": "The edges form a cycle: b → c → d → b."}


def test_a_node_that_leads_to_itself_is_a_cycle() -> None:
    assert "a → a" in issues_of(spec_of(("a", "a"), nodes="a"))["cycle"]


def test_a_cycle_through_goto_is_a_cycle() -> None:
    spec = spec_of(("a", "b"), nodes="ab")
    spec["nodes"][1]["on_error"] = {"goto": "a"}
    assert "a → b → a" in issues_of(spec)["cycle"]


def test_a_cycle_of_10000_nodes_is_found_and_shown_in_short() -> None:
    spec = chain(10_000)
    spec["edges"].append({"from": "n9999", "to": "n0"})
    assert issues_of(spec)["cycle"].endswith("n19 → … → n0.")


def test_everything_unwalkable_is_said_at_once() -> None:
    spec = spec_of(("a", "nowhere"), ("nobody", "b"), nodes="abb", start_node="z")
    spec["nodes"][0]["when"] = "1 +"
    spec["edges"].append({"from": "a", "to": "b", "condition": "=="})
    spec["nodes"][1]["on_error"] = {"goto": "neverland"}
    assert set(issues_of(spec)) == {
        "duplicate_id",
        "missing_start_node",
        "unknown_edge_target",
        "unknown_edge_source",
        "bad_condition",
    }


def test_a_plan_too_large_to_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MAX_ANCESTOR_BYTES", 10_000)
    assert plan_of(fan(100)).order
    assert "too large" in issues_of(chain(1000))["workflow_too_large"]


def test_a_graph_without_a_cycle_has_none_to_find() -> None:
    assert graph_order.find_cycle([[1, 2], [3], [3], []]) == []


def test_10000_nodes_side_by_side_or_in_a_row_have_a_plan() -> None:
    for spec in (chain(10_000), fan(9_998)):
        plan = plan_of(spec)
        assert len(plan.view().order) == 10_000
    assert len(plan.parallel_edges) == 9_998
