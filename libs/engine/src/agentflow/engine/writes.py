"""What the end of a node writes into the state, and what it has spent.

A node's `output_key` is one of its writes; `outputs` cannot be written. Every failure leaves a
record in `errors`, handled or not. Spending is what the node wrote to `cost` and `tokens_used`,
else what its usage says.
"""

from typing import Any

from agentflow.contracts.problem import NodeError
from agentflow.contracts.result import Usage
from agentflow.contracts.spec import Budget, DefaultOnError
from agentflow.contracts.state import JsonObject
from agentflow.engine.fold import copy_json
from agentflow.engine.plan_parts import PlanNode
from agentflow.engine.state_keys import OUTPUTS

Spending = tuple[float, int]
"""US dollars and tokens."""


def effective_writes(output: Any, output_key: str | None, writes: JsonObject) -> JsonObject:
    """The state keys a result writes: its output under `output_key`, then its own writes."""
    if output_key is not None and output_key not in writes:
        writes = {output_key: output, **writes}
    if OUTPUTS in writes:
        writes = {key: value for key, value in writes.items() if key != OUTPUTS}
    return writes


def failure_writes(node: PlanNode, error: NodeError) -> tuple[JsonObject, tuple[Any, ...]]:
    """The state keys a failure writes, and its output as a tuple of one or (none) of zero."""
    writes: JsonObject = {"errors": [error_entry(node, error)]}
    on_error = node.node.on_error
    if not isinstance(on_error, DefaultOnError):
        return writes, ()
    output = copy_json(on_error.default)
    return effective_writes(output, node.output_key, writes), (output,)


def error_entry(node: PlanNode, error: NodeError) -> JsonObject:
    """What `errors` in the state holds of a failure.

    How often it was tried is luck (a crash counts) and stands in the log, not in the state.
    """
    luck = {"node_id", "attempt", "retry_after"}
    entry = error.model_dump(mode="json", exclude_defaults=True, exclude=luck)
    return {"node_id": node.id, **entry}


def spending(writes: JsonObject, usage: Usage | None) -> Spending:
    """What a completed node has spent; an unknown amount counts as nothing."""
    usd = writes.get("cost", usage.cost if usage else None)
    tokens = writes.get("tokens_used", usage.total_tokens if usage else None)
    return _amount(usd), int(_amount(tokens))


def over_budget(budget: Budget, spent: Spending, node_id: str) -> NodeError | None:
    """The error an execution fails with when `spent` is more than it may spend."""
    usd, tokens = spent
    over = []
    if budget.usd is not None and usd > budget.usd:
        over.append(f"{usd:.6g} of {budget.usd:.6g} US dollars")
    if budget.tokens is not None and tokens > budget.tokens:
        over.append(f"{tokens} of {budget.tokens} tokens")
    if not over:
        return None
    return NodeError(
        code="budget_exceeded",
        message=f"The workflow's budget is spent: {' and '.join(over)} after node {node_id!r}.",
        node_id=node_id,
        hint="Raise `budget` in the workflow, or make its nodes cheaper.",
        details={"usd": usd, "tokens": tokens},
    )


def _amount(value: Any) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
