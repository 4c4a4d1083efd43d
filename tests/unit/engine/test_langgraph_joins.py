"""What LangGraph does with joins when left to itself, and what it does with our encoding.

These are facts about the library, kept as tests: when a release of it changes them, the
encoding in `graph.py` may become simpler.
"""

import operator
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.errors import InvalidUpdateError
from langgraph.graph import START, StateGraph

from agentflow.contracts.result import NodeResult
from agentflow.engine.fold import final_state
from agentflow.engine.graph import run_graph
from tests.support.specs import Json, behave, llm
from tests.support.walks import run_walk


class Path(TypedDict):
    ran: Annotated[list[str], operator.add]


def plain_graph(nodes: str) -> Any:
    def runs(node: str) -> Callable[[Path], Path]:
        return lambda _state: {"ran": [node]}

    graph: Any = StateGraph(Path)
    for node in nodes:
        graph.add_node(node, runs(node))
    graph.add_edge(START, nodes[0])
    return graph


def ran(graph: Any) -> Counter[str]:
    return Counter(graph.compile().invoke({"ran": []})["ran"])


UNEQUAL: Json = {
    "start_node": "a",
    "nodes": [llm(node) for node in "abcdj"],
    "edges": [
        {"from": "a", "to": ["b", "c"]},
        {"from": "c", "to": "d"},
        {"from": "b", "to": "j"},
        {"from": "d", "to": "j"},
    ],
}
ROUTED: Json = {
    "start_node": "a",
    "nodes": [llm("a", writes={"intent": "b"}), *(llm(node) for node in "bcj")],
    "edges": [
        {"from": "a", "to": ["b", "c"], "condition": "intent"},
        {"from": "b", "to": "j"},
        {"from": "c", "to": "j"},
    ],
}


async def test_plain_edges_into_a_join_of_unequal_branches_run_it_twice_and_ours_once() -> None:
    graph = plain_graph("abcdj")
    for source, target in [("a", "b"), ("a", "c"), ("c", "d"), ("b", "j"), ("d", "j")]:
        graph.add_edge(source, target)
    assert ran(graph)["j"] == 2

    runs: Counter[str] = Counter()

    def counted(node: Any, state: Json) -> NodeResult:
        runs[node.id] += 1
        return behave(node, state)

    await run_graph(UNEQUAL, {}, counted)
    assert runs == Counter("abcdj")
    assert Counter(run_walk(UNEQUAL).dispatched) == Counter("abcdj")


async def test_a_list_edge_join_with_a_parent_routed_away_never_runs_and_ours_does() -> None:
    graph = plain_graph("abcj")
    graph.add_conditional_edges("a", lambda _: "b", ["b", "c"])
    graph.add_edge(["b", "c"], "j")
    assert ran(graph) == Counter("ab")

    state = await run_graph(ROUTED, {}, behave)
    assert state["execution_path"] == ["a", "b", "j"]
    assert final_state(run_walk(ROUTED).state)["execution_path"] == ["a", "b", "j"]


async def test_parallel_writers_of_one_key_are_an_error_there_and_deterministic_here() -> None:
    class Plain(TypedDict):
        x: str

    graph: Any = StateGraph(Plain)
    for node in "abc":
        graph.add_node(node, lambda _state: {"x": "written"})
    graph.add_edge(START, "a")
    graph.add_edge("a", "b")
    graph.add_edge("a", "c")
    with pytest.raises(InvalidUpdateError):
        graph.compile().invoke({"x": ""})

    spec = {
        "start_node": "a",
        "nodes": [llm("a"), llm("b", writes={"x": "b"}), llm("c", writes={"x": "c"})],
        "edges": [{"from": "a", "to": ["b", "c"]}],
    }
    assert (await run_graph(spec, {}, behave))["x"] == "c"


async def test_there_a_fast_branch_waits_for_its_slow_sibling() -> None:
    """The barrier that the walk does not have: d runs in the superstep after both b and c."""
    graph = plain_graph("abcd")
    for source, target in [("a", "b"), ("a", "c"), ("b", "d")]:
        graph.add_edge(source, target)
    steps = [set(step) for step in graph.compile().stream({"ran": []}, stream_mode="updates")]
    assert steps[-1] == {"d"}
    order = [next(iter(step)) for step in steps]
    assert order.index("d") > order.index("c")
