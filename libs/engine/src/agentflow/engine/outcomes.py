"""Outcomes of nodes as JSON, and what follows from them: the rules of a walk without a walk.

One outcome per node that is over, keyed by node id. What a node needs to know (is it reached,
what does it see, does it want to run) is computed from the outcomes of its ancestors each time,
in the plainest way. LangGraph's wrappers stand on this; nothing here is kept or shared.
"""

from typing import Any, NotRequired, TypedDict

from agentflow.contracts.problem import NodeError
from agentflow.contracts.result import NodeResult
from agentflow.contracts.state import JsonObject
from agentflow.contracts.status import NodeStatus
from agentflow.engine.fold import Ledger, copy_json, fold
from agentflow.engine.graph_order import bits
from agentflow.engine.plan_parts import Plan, PlanNode
from agentflow.engine.walk.doors import taken_edges, wants_to_run
from agentflow.engine.writes import effective_writes, failure_writes, over_budget, spending


class Outcome(TypedDict):
    """How one node ended. `taken` are the numbers of the edges taken from it."""

    status: str
    taken: list[int]
    writes: JsonObject
    output: NotRequired[Any]
    spent: NotRequired[list[float]]


Outcomes = dict[str, Outcome]


def skipped() -> Outcome:
    """The outcome of a node that does not run: no edge of it is taken."""
    return Outcome(status=NodeStatus.SKIPPED, taken=[], writes={})


def completed(result: NodeResult) -> Outcome:
    """The outcome of a result, its edges still open. Shares nothing with the result."""
    writes = effective_writes(result.output, result.output_key, result.writes)
    return Outcome(
        status=NodeStatus.COMPLETED,
        taken=[],
        writes=copy_json(writes),
        output=copy_json(result.output),
        spent=list(spending(writes, result.usage)),
    )


def failed(node: PlanNode, error: NodeError) -> Outcome:
    """The outcome of a failure, its edges still open."""
    writes, output = failure_writes(node, error)
    outcome = Outcome(status=NodeStatus.FAILED, taken=[], writes=writes)
    if output:
        outcome["output"] = output[0]
    return outcome


def runs(plan: Plan, node: PlanNode, initial: JsonObject, outcomes: Outcomes) -> bool:
    """Whether the node, all its sources being over, is reached and wants to run.

    Raises Undecided.
    """
    reached = node.index == plan.start or any(
        edge in outcomes[plan.nodes[source].id]["taken"] for edge, source in node.incoming
    )
    if not reached or node.when is None:
        return reached
    return wants_to_run(node, see(plan, node, initial, outcomes, node.when_keys))


def take_edges(
    plan: Plan, node: PlanNode, initial: JsonObject, outcomes: Outcomes, outcome: Outcome
) -> None:
    """Write into `outcome` which edges are taken. Raises Undecided."""
    went_over = outcome["status"] == NodeStatus.FAILED and node.on_error == "goto"
    known = {**outcomes, node.id: outcome}
    mask = seen(plan, node, outcomes) | 1 << node.index
    state = fold(plan, initial, ledger(plan, known, mask), mask, node.exit_keys)
    outcome["taken"] = sorted(taken_edges(node, state, went_over=went_over))


def see(
    plan: Plan,
    node: PlanNode,
    initial: JsonObject,
    outcomes: Outcomes,
    keys: frozenset[str] | None = None,
) -> JsonObject:
    """What the node sees."""
    mask = seen(plan, node, outcomes)
    return fold(plan, initial, ledger(plan, outcomes, mask), mask, keys)


def seen(plan: Plan, node: PlanNode, outcomes: Outcomes) -> int:
    """The bitmask of the nodes whose writes the node sees.

    Behind an `any` join: what lies behind its first edge taken, by plan order of the sources.
    """
    masks: dict[int, int] = {}
    if not node.shifting:
        return node.ancestors
    for place in [*bits(node.ancestors), node.index]:
        at = plan.nodes[place]
        ways = at.incoming
        if at.any_join:
            opened = [way for way in ways if way[0] in outcomes[plan.nodes[way[1]].id]["taken"]]
            ways = tuple(opened[:1]) or ways
        masks[place] = 0
        for _, source in ways:
            masks[place] |= masks[source] | 1 << source
    return masks[node.index]


def ledger(plan: Plan, outcomes: Outcomes, mask: int) -> Ledger:
    """The writes of the nodes in `mask` that ran."""
    made = Ledger()
    for place in bits(mask):
        outcome = outcomes.get(plan.nodes[place].id)
        if outcome is None or outcome["status"] == NodeStatus.SKIPPED:
            continue
        output = (outcome["output"],) if "output" in outcome else ()
        made.record(place, outcome["writes"], *output)
    return made


def overspent(plan: Plan, outcomes: Outcomes) -> NodeError | None:
    """The error to stop with when the nodes have spent more than the budget."""
    if plan.budget is None:
        return None
    usd, tokens, last = 0.0, 0, ""
    for node_id, outcome in outcomes.items():
        if "spent" in outcome:
            last = node_id
            usd += outcome["spent"][0]
            tokens += int(outcome["spent"][1])
    return over_budget(plan.budget, (usd, tokens), last)


def taken_of(plan: Plan, outcomes: Outcomes) -> bytearray:
    """Which edges were taken, by edge number."""
    taken = bytearray(len(plan.edge_ends))
    for outcome in outcomes.values():
        for edge in outcome["taken"]:
            taken[edge] = 1
    return taken
