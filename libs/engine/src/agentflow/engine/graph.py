"""The workflow as a LangGraph StateGraph: one process, no bus, the reference semantics.

LangGraph runs a join of plain edges once per superstep in which a parent ends, and never runs a
list-edge join one of whose parents was routed away. So here every edge is static, every join is
a list edge, and every node's wrapper runs exactly once: it decides from the recorded outcomes of
its sources whether to run the node or to pass the skip on, and hands it what it sees. Outcomes
live in one channel keyed by node, so that parallel writers never meet.

An `any` join waits for its superstep here; its first edge is the one whose source comes first in
plan order. This is the only module that imports langgraph (1.7 s, 80 MB).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Annotated, Any, Final, TypedDict

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langsmith import tracing_context

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.ids import NodeId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node, WorkflowSpec
from agentflow.contracts.state import JsonObject
from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.engine import outcomes as rules
from agentflow.engine.errors import WorkflowStopped
from agentflow.engine.fold import complete_state, copy_json
from agentflow.engine.outcomes import Outcome, Outcomes
from agentflow.engine.plan import compile_plan
from agentflow.engine.plan_parts import Plan, PlanNode
from agentflow.engine.walk.doors import Undecided

NodeRunner = Callable[[Node, JsonObject], NodeResult | Awaitable[NodeResult]]
"""Runs one node on what it sees (a copy of its own); raises NodeFailed when it cannot."""

Graph = StateGraph[Any, Any, Any, Any]
CompiledGraph = CompiledStateGraph[Any, Any, Any, Any]

MAX_CONCURRENCY: Final = 64
INITIAL: Final = "initial state"
OUTCOMES: Final = "node outcomes"
STOPPED: Final = "stopped by"
"""Channels. Their names hold a space, so that no node can have the same."""


def _merge(left: Outcomes, right: Outcomes) -> Outcomes:
    return {**left, **right}


def _first(left: JsonObject, right: JsonObject) -> JsonObject:
    return left or right


_Channels = TypedDict(
    "_Channels",
    {
        "initial state": JsonObject,
        "node outcomes": Annotated[Outcomes, _merge],
        "stopped by": Annotated[JsonObject, _first],
    },
)


@dataclass(frozen=True, slots=True)
class GraphRun:
    """How a run in one process ended. `final_state` is partial unless it completed."""

    status: ExecutionStatus
    final_state: JsonObject
    error: NodeError | None
    statuses: dict[NodeId, NodeStatus]


def build_graph_from_json(
    spec: dict[str, Any] | str | bytes | WorkflowSpec | Plan, run_node: NodeRunner
) -> Graph:
    """The workflow as a StateGraph, not compiled yet. Raises InvalidSpec.

    JSON that is no WorkflowSpec raises pydantic.ValidationError; `validation` tells users more.
    """
    plan = _plan(spec)
    graph: Graph = StateGraph(_Channels)
    for node in plan.nodes:
        graph.add_node(graph_name(node.id), _Wrapper(plan, node, run_node))
    for node in plan.nodes:
        sources = list(dict.fromkeys(source for _, source in node.incoming))
        names = [graph_name(plan.nodes[source].id) for source in sources]
        if len(names) > 1:
            graph.add_edge(names, graph_name(node.id))
        else:
            graph.add_edge(names[0] if names else START, graph_name(node.id))
    return graph


def compile_graph(
    spec: dict[str, Any] | str | bytes | WorkflowSpec | Plan, run_node: NodeRunner
) -> CompiledGraph:
    """The workflow compiled by LangGraph; give it `graph_input` and `graph_config`."""
    return build_graph_from_json(spec, run_node).compile()


def graph_input(initial_state: Mapping[str, Any]) -> dict[str, Any]:
    """What the compiled graph is invoked with."""
    return {INITIAL: copy_json(dict(initial_state)), OUTCOMES: {}, STOPPED: {}}


def graph_config(plan: Plan, max_concurrency: int = MAX_CONCURRENCY) -> RunnableConfig:
    """LangGraph's limits for this plan: one superstep per rank."""
    return {"recursion_limit": plan.nodes[-1].rank + 10, "max_concurrency": max_concurrency}


async def run_to_end(
    spec: dict[str, Any] | str | bytes | WorkflowSpec | Plan,
    initial_state: Mapping[str, Any],
    run_node: NodeRunner,
) -> GraphRun:
    """Run the workflow on LangGraph in this process. LangSmith tracing is off."""
    plan = _plan(spec)
    with tracing_context(enabled=False):
        channels = await compile_graph(plan, run_node).ainvoke(
            graph_input(initial_state), graph_config(plan)
        )
    outcomes: Outcomes = channels[OUTCOMES]
    stopped = channels[STOPPED]
    error = NodeError.model_validate(stopped) if stopped else rules.overspent(plan, outcomes)
    statuses = {
        node.id: NodeStatus(outcomes[node.id]["status"])
        if node.id in outcomes
        else NodeStatus.PENDING
        for node in plan.nodes
    }
    status = ExecutionStatus.COMPLETED if error is None else ExecutionStatus.FAILED
    everything = rules.ledger(plan, outcomes, (1 << len(plan.nodes)) - 1)
    taken = rules.taken_of(plan, outcomes) if error is None else None
    state = complete_state(plan, channels[INITIAL], everything, taken)
    return GraphRun(status, state, error, statuses)


async def run_graph(
    spec: dict[str, Any] | str | bytes | WorkflowSpec | Plan,
    initial_state: Mapping[str, Any],
    run_node: NodeRunner,
) -> JsonObject:
    """The final state of the workflow run on LangGraph; WorkflowStopped if it failed."""
    run = await run_to_end(spec, initial_state, run_node)
    if run.error is not None:
        raise WorkflowStopped(run.status, run.error, run.final_state)
    return run.final_state


def graph_name(node_id: str) -> str:
    """The node's name in the graph: its id, unless LangGraph keeps such names for itself."""
    return f"node {node_id}" if node_id.startswith("__") else node_id


def _plan(spec: dict[str, Any] | str | bytes | WorkflowSpec | Plan) -> Plan:
    if isinstance(spec, Plan):
        return spec
    if isinstance(spec, str | bytes):
        spec = WorkflowSpec.from_json(spec)
    return compile_plan(WorkflowSpec.model_validate(spec))


class _Wrapper(Runnable[Any, dict[str, Any]]):
    """One node inside the graph: decides whether to run it, runs it, records the outcome.

    A Runnable of its own: of a plain function LangGraph reads the byte code to look for subgraphs.
    """

    def __init__(self, plan: Plan, node: PlanNode, run_node: NodeRunner) -> None:
        self._plan = plan
        self._node = node
        self._run_node = run_node

    def invoke(
        self,
        input: Any,  # noqa: A002, ARG002 - LangChain's signature
        config: RunnableConfig | None = None,  # noqa: ARG002 - LangChain's signature
        **_: Any,
    ) -> dict[str, Any]:
        """Refused: nodes may be asynchronous."""
        raise TypeError("Run the graph with `await graph.ainvoke(…)`: its nodes may be async.")

    async def ainvoke(
        self,
        input: _Channels,  # noqa: A002 - LangChain's signature
        config: RunnableConfig | None = None,  # noqa: ARG002 - LangChain's signature
        **_: Any,
    ) -> dict[str, Any]:
        initial, outcomes = input[INITIAL], input[OUTCOMES]
        if input[STOPPED]:
            return {}
        error = rules.overspent(self._plan, outcomes)
        if error is not None:
            return _stop(error)
        try:
            if not rules.runs(self._plan, self._node, initial, outcomes):
                return {OUTCOMES: {self._node.id: rules.skipped()}}
            outcome, error = await self._run(initial, outcomes)
            if error is None:
                rules.take_edges(self._plan, self._node, initial, outcomes, outcome)
        except Undecided as undecided:
            return _stop(undecided.error)
        return {OUTCOMES: {self._node.id: outcome}, **(_stop(error) if error else {})}

    async def _run(
        self, initial: JsonObject, outcomes: Outcomes
    ) -> tuple[Outcome, NodeError | None]:
        """The node's outcome, and the error that ends the run if it does."""
        visible = copy_json(rules.see(self._plan, self._node, initial, outcomes))
        try:
            result = self._run_node(self._node.node, visible)
            if isawaitable(result):
                result = await result
        except NodeFailed as failure:
            error = failure.to_node_error(self._node.id)
            handled = self._node.on_error != "fail"
            return rules.failed(self._node, error), None if handled else error
        return rules.completed(result), None


def _stop(error: NodeError) -> dict[str, Any]:
    return {STOPPED: error.model_dump(mode="json")}
