"""How nodes and executions end: what is recorded of a node, and what an execution dies of.

Money and tokens are counted in log order, and only where there is a budget.
"""

from agentflow.contracts.events import CancelRequested, NodeCompleted
from agentflow.contracts.problem import NodeError
from agentflow.engine.walk.happenings import DeadlinePassed, ValuesLost
from agentflow.engine.walk.state import COMPLETED, WalkState
from agentflow.engine.writes import effective_writes, failure_writes, over_budget, spending

SHOWN_NODES = 20
"""How many node ids a message names."""


def record_completed(state: WalkState, place: int, event: NodeCompleted) -> None:
    """Note the node's result."""
    state.record[place] = COMPLETED
    writes = effective_writes(event.output, event.output_key, event.writes)
    state.ledger.record(place, writes, event.output)
    if state.plan.budget is not None:
        state.usage[place] = spending(writes, event.usage)


def record_failed(state: WalkState, place: int, kind: int, error: NodeError) -> None:
    """Note the node's failure, and what its `on_error` makes of it."""
    state.record[place] = kind
    state.errors[place] = error
    writes, output = failure_writes(state.plan.nodes[place], error)
    state.ledger.record(place, writes, *output)


def charge(state: WalkState, place: int) -> NodeError | None:
    """Add what the node cost; the error the execution fails with when that is too much."""
    budget = state.plan.budget
    if budget is None:
        return None
    usd, tokens = state.usage.pop(place, (0.0, 0))
    state.spent = (state.spent[0] + usd, state.spent[1] + tokens)
    return over_budget(budget, state.spent, state.plan.nodes[place].id)


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
        hint="Raise `timeout_seconds` of the workflow or of the request.",
        details={"running": list(running)},
    )


def values_lost(event: ValuesLost) -> NodeError:
    """What an execution ends with when a condition reads a value nobody has any more."""
    return NodeError(
        code="condition_error",
        message=f"A condition reads a large value that cannot be fetched: {event.reason}",
        details={"refs": sorted(event.refs), "reason": event.reason},
    )
