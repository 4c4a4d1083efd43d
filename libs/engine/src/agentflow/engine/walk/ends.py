"""How nodes and executions end: what is recorded of a node, and what an execution dies of.

A node's `output_key` is one of its writes; `outputs` cannot be written. A failure that is
handled, and one that is not, leaves a record in `errors`. Money and tokens are counted in log
order, and only where there is a budget.
"""

from typing import Any

from agentflow.contracts.events import CancelRequested, NodeCompleted
from agentflow.contracts.problem import NodeError
from agentflow.contracts.spec import DefaultOnError
from agentflow.engine.fold import copy_json
from agentflow.engine.plan_parts import PlanNode
from agentflow.engine.state_keys import OUTPUTS
from agentflow.engine.walk.happenings import DeadlinePassed, ValuesLost
from agentflow.engine.walk.state import COMPLETED, WalkState

SHOWN_NODES = 20
"""How many node ids a message names."""


def record_completed(state: WalkState, place: int, event: NodeCompleted) -> None:
    """Note the node's result."""
    state.record[place] = COMPLETED
    writes = effective_writes(event.output, event.output_key, event.writes)
    state.ledger.record(place, writes, event.output)
    if state.plan.budget is not None:
        usage = event.usage
        usd = writes.get("cost", usage.cost if usage else None)
        tokens = writes.get("tokens_used", usage.total_tokens if usage else None)
        state.usage[place] = (_amount(usd), int(_amount(tokens)))


def record_failed(state: WalkState, place: int, kind: int, error: NodeError) -> None:
    """Note the node's failure, and what its `on_error` makes of it."""
    state.record[place] = kind
    state.errors[place] = error
    record_failure(state, state.plan.nodes[place], error)


def record_failure(state: "WalkState", node: PlanNode, error: NodeError) -> None:
    """Write the failure into the state, with the default output where there is one."""
    writes: dict[str, Any] = {"errors": [error_entry(node, error)]}
    on_error = node.node.on_error
    if isinstance(on_error, DefaultOnError):
        output = copy_json(on_error.default)
        if node.output_key is not None:
            writes = effective_writes(output, node.output_key, writes)
        state.ledger.record(node.index, writes, output)
    else:
        state.ledger.record(node.index, writes)


def effective_writes(output: Any, output_key: str | None, writes: dict[str, Any]) -> dict[str, Any]:
    """The state keys a result writes: its output under `output_key`, then its own writes."""
    if output_key is not None and output_key not in writes:
        writes = {output_key: output, **writes}
    if OUTPUTS in writes:
        writes = {key: value for key, value in writes.items() if key != OUTPUTS}
    return writes


def error_entry(node: PlanNode, error: NodeError) -> dict[str, Any]:
    """What `errors` in the state holds of a failure."""
    entry = error.model_dump(mode="json", exclude_defaults=True, exclude={"node_id"})
    return {"node_id": node.id, **entry}


def charge(state: WalkState, place: int) -> NodeError | None:
    """Add what the node cost; the error the execution fails with when that is too much."""
    budget = state.plan.budget
    if budget is None:
        return None
    usd, tokens = state.usage.pop(place, (0.0, 0))
    state.spent = (state.spent[0] + usd, state.spent[1] + tokens)
    usd, tokens = state.spent
    over = []
    if budget.usd is not None and usd > budget.usd:
        over.append(f"{usd:.6g} of {budget.usd:.6g} US dollars")
    if budget.tokens is not None and tokens > budget.tokens:
        over.append(f"{tokens} of {budget.tokens} tokens")
    if not over:
        return None
    node_id = state.plan.nodes[place].id
    return NodeError(
        code="budget_exceeded",
        message=f"The workflow's budget is spent: {' and '.join(over)} after node {node_id!r}.",
        node_id=node_id,
        hint="Raise `budget` in the workflow, or make its nodes cheaper.",
        details={"usd": usd, "tokens": tokens},
    )


def cancelled(event: CancelRequested) -> NodeError:
    """What a cancelled execution ends with."""
    by = f" by {event.requested_by}" if event.requested_by else ""
    why = f": {event.reason}" if event.reason else ""
    return NodeError(code="cancelled", message=f"The execution was cancelled{by}{why}.")


def deadline_passed(state: WalkState, event: DeadlinePassed) -> NodeError:
    """What an execution past its deadline ends with: it names the nodes still running."""
    running = state.outstanding()
    shown = ", ".join(running[:SHOWN_NODES]) + (", …" if len(running) > SHOWN_NODES else "")
    deadline = state.deadline or event.occurred_at
    return NodeError(
        code="execution_timed_out",
        message=f"The deadline {deadline.isoformat()} passed while "
        + (f"still running: {shown}." if running else "no node was running."),
        hint="Raise `timeout_seconds` of the workflow or of the request, or of a slow node's pool.",
        details={"running": list(running)},
    )


def values_lost(event: ValuesLost) -> NodeError:
    """What an execution ends with when a condition reads a value nobody has any more."""
    return NodeError(
        code="condition_error",
        message=f"A condition reads a large value that cannot be fetched: {event.reason}",
        details={"refs": sorted(event.refs), "reason": event.reason},
    )


def _amount(value: Any) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
