"""Which edges of a node are taken. Decided once, on what the node saw and wrote itself.

So a decision never depends on what else has finished meanwhile. `intent` takes the target
whose id equals the intent, else the only one whose id contains it, else the first; `else` is
taken when no other conditional edge of the node is; a failure sent elsewhere takes goto alone.
"""

from collections.abc import Mapping
from typing import Any

from agentflow.contracts.problem import NodeError
from agentflow.engine.conditions import Condition
from agentflow.engine.errors import ConditionError
from agentflow.engine.plan_parts import Exit, PlanNode


class Undecided(Exception):
    """A condition could not be decided; `error` is what the execution fails with."""

    def __init__(self, error: NodeError) -> None:
        super().__init__(error.message)
        self.error = error


def taken_edges(node: PlanNode, state: Mapping[str, Any], *, went_over: bool = False) -> set[int]:
    """Numbers of the edges taken from `node`, given at least its `exit_keys` of the state.

    `went_over`: it failed and its `on_error` sends the walk elsewhere. Raises Undecided.
    """
    if went_over:
        return {edge for exit_ in node.exits if exit_.kind == "goto" for edge in exit_.edges}
    taken: set[int] = set()
    otherwise: list[Exit] = []
    conditional = False
    for exit_ in node.exits:
        if exit_.kind == "always":
            taken.update(exit_.edges)
        elif exit_.kind == "else":
            otherwise.append(exit_)
        elif exit_.kind == "intent":
            conditional = True
            edge = _choose(exit_, state.get("intent"))
            if edge is not None:
                taken.add(edge)
        elif exit_.condition is not None and _open(node, exit_, exit_.condition, state):
            conditional = True
            taken.update(exit_.edges)
    if not conditional:
        for exit_ in otherwise:
            taken.update(exit_.edges)
    return taken


def wants_to_run(node: PlanNode, state: Mapping[str, Any]) -> bool:
    """Whether the node's `when` holds, given at least its `when_keys`. Raises Undecided."""
    if node.when is None:
        return True
    try:
        return node.when.holds(state)
    except ConditionError as error:
        raise Undecided(
            NodeError(
                code="condition_error",
                message=f"`when` of node {node.id!r}: {error.message}",
                node_id=node.id,
                hint=error.hint,
                details={"expression": error.expression, "reason": error.reason},
            )
        ) from None


def _choose(exit_: Exit, intent: Any) -> int | None:
    """The edge of the one target an intent picks; None when that is END."""
    choices = exit_.choices
    if isinstance(intent, str) and intent:
        equal = [choice for choice in choices if choice[0] == intent]
        near = [choice for choice in choices if intent in choice[0]]
        if equal:
            return equal[0][1]
        if len(near) == 1:
            return near[0][1]
    return choices[0][1]


def _open(node: PlanNode, exit_: Exit, condition: Condition, state: Mapping[str, Any]) -> bool:
    try:
        return condition.holds(state)
    except ConditionError as error:
        targets = [target for target, _ in exit_.choices]
        raise Undecided(
            NodeError(
                code="condition_error",
                message=f"The edge {node.id} → {', '.join(targets)}: {error.message}",
                node_id=node.id,
                hint=error.hint,
                details={
                    "edge": {"from": node.id, "to": targets},
                    "expression": error.expression,
                    "reason": error.reason,
                },
            )
        ) from None
