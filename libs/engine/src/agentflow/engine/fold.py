"""The state of an execution: the fold of the initial state and what nodes have written.

A node sees the initial state and the writes of its ancestors that ran, in plan order, never
those of unrelated branches. `tokens_used` and `cost` add, `metadata` merges, `errors` and
`execution_path` append, of any other key the last writer in plan order wins. Every node's
output is kept under `outputs.<id>`, which no write can touch.

What is handed out: new containers for the state, `outputs`, `metadata`, `errors` and
`execution_path`. The values inside are the recorded ones, shared and READ-ONLY; nobody in this
room changes a JSON value. `final_state` is a deep copy. References to large values
(`is_value_ref`) are opaque here. Keys that reduce are to be kept inline by whoever stores large
values: a reference in place of an object or list to be merged or appended stands for itself.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeGuard

from agentflow.contracts.state import (
    ADDING_KEYS,
    APPENDING_KEYS,
    MERGING_KEYS,
    JsonObject,
    is_value_ref,
)
from agentflow.contracts.status import ExecutionStatus
from agentflow.engine.graph_order import bits
from agentflow.engine.plan_parts import Plan
from agentflow.engine.state_keys import OUTPUTS, OUTPUTS_OF

if TYPE_CHECKING:
    from agentflow.engine.walk.state import WalkState

EXECUTION_PATH: Final = "execution_path"
FINAL_OUTPUT: Final = "final_output"
_ABSENT: Final = object()


class Ledger:
    """What the nodes that ran have written, by place in plan order.

    Per key it keeps the set of writers as a bitmask, so that the last writer among a node's
    ancestors is found in one step, however long the workflow.
    """

    __slots__ = ("outputs", "ran", "writers", "writes")

    def __init__(self) -> None:
        self.ran = 0
        self.outputs: dict[int, Any] = {}
        self.writes: dict[int, dict[str, Any]] = {}
        self.writers: dict[str, int] = {}

    def record(self, place: int, writes: dict[str, Any], output: Any = _ABSENT) -> None:
        """Note that the node ran. Without `output` it ran and failed: it has none."""
        bit = 1 << place
        self.ran |= bit
        if output is not _ABSENT:
            self.outputs[place] = output
        if writes:
            self.writes[place] = writes
            for key in writes:
                self.writers[key] = self.writers.get(key, 0) | bit

    def copy(self) -> "Ledger":
        twin = Ledger()
        twin.ran = self.ran
        twin.outputs = dict(self.outputs)
        twin.writes = dict(self.writes)
        twin.writers = dict(self.writers)
        return twin


def visible_state(
    walk_state: "WalkState", node_id: str, keys: Iterable[str] | None = None
) -> JsonObject:
    """What the node sees: all of it, or only `keys` (top-level names or `outputs.<node id>`).

    Raises KeyError for a node that is not in the plan.
    """
    plan = walk_state.plan
    seen = walk_state.seen_by(plan.index[node_id])
    return fold(plan, walk_state.initial, walk_state.ledger, seen, keys)


def final_state(walk_state: "WalkState") -> JsonObject:
    """The fold over all nodes that ran, with `final_output` when the walk completed."""
    finish = walk_state.finish
    completed = finish is not None and finish.status is ExecutionStatus.COMPLETED
    return complete_state(
        walk_state.plan,
        walk_state.initial,
        walk_state.ledger,
        walk_state.taken if completed else None,
    )


def complete_state(
    plan: Plan, initial: Mapping[str, Any], ledger: Ledger, taken: bytearray | None
) -> JsonObject:
    """The fold over all nodes that ran, as a copy of its own.

    `taken` says which edges were taken in a run that completed; None: it did not complete, and
    there is no `final_output` unless a node wrote one.
    """
    state = fold(plan, initial, ledger, ledger.ran)
    state.setdefault(EXECUTION_PATH, [])
    state.setdefault(OUTPUTS, {})
    if taken is not None:
        add_final_output(plan, ledger, taken, state)
    copy: JsonObject = copy_json(state)
    return copy


def fold(
    plan: Plan,
    initial: Mapping[str, Any],
    ledger: Ledger,
    seen: int,
    keys: Iterable[str] | None = None,
) -> JsonObject:
    """The state made of `initial` and the writes of the nodes in the bitmask `seen`.

    Only keys that exist are in the result; `outputs` and `execution_path` exist once a node ran.
    """
    narrow = keys is not None
    if keys is None:
        later = sorted({*ledger.writers, OUTPUTS, EXECUTION_PATH} - initial.keys())
        keys = [*initial, *later]
    else:
        keys = sorted(keys)
    state: JsonObject = {}
    for key in keys:
        if key == OUTPUTS or (narrow and key.startswith(OUTPUTS_OF)):
            _fold_outputs(plan, initial, ledger, seen, key, state)
            continue
        value = _value(plan, initial, ledger, seen, key)
        if value is not _ABSENT:
            state[key] = value
    return state


def _value(plan: Plan, initial: Mapping[str, Any], ledger: Ledger, seen: int, key: str) -> Any:
    before = initial.get(key, _ABSENT)
    reduce = _REDUCERS.get(key)
    if key == EXECUTION_PATH:
        return _execution_path(plan, before, ledger, seen)
    writers = ledger.writers.get(key, 0) & seen
    if not writers:
        return before if reduce is None else _fresh(before)
    if reduce is None:
        return ledger.writes[writers.bit_length() - 1][key]
    return reduce(before, [ledger.writes[place][key] for place in bits(writers)])


def _fold_outputs(
    plan: Plan,
    initial: Mapping[str, Any],
    ledger: Ledger,
    seen: int,
    key: str,
    state: JsonObject,
) -> None:
    node_id = key[len(OUTPUTS_OF) :]
    before = initial.get(OUTPUTS)
    known: JsonObject = dict(before) if _is_object(before) else {}
    if node_id:
        found = {node_id: known[node_id]} if node_id in known else {}
        place = plan.index.get(node_id)
        if place is not None and seen >> place & 1 and place in ledger.outputs:
            found[node_id] = ledger.outputs[place]
    else:
        found = known
        for place in bits(seen & ledger.ran):
            if place in ledger.outputs:
                found[plan.nodes[place].id] = ledger.outputs[place]
    if found or OUTPUTS in initial:
        state.setdefault(OUTPUTS, {}).update(found)


def _execution_path(plan: Plan, before: Any, ledger: Ledger, seen: int) -> Any:
    ran = seen & ledger.ran
    written = ledger.writers.get(EXECUTION_PATH, 0)
    if not ran:
        return _fresh(before)
    path = _appended(before, ())
    for place in bits(ran):
        path.append(plan.nodes[place].id)
        if written >> place & 1:
            path = _appended(path, [ledger.writes[place][EXECUTION_PATH]])
    return path


def add_final_output(plan: Plan, ledger: Ledger, taken: bytearray, state: JsonObject) -> None:
    """Where no node wrote `final_output`: the output of the only sink that ran, or all by id.

    When no branch reached a sink, the nodes after which nothing ran stand in for the sinks.
    """
    if ledger.writers.get(FINAL_OUTPUT):
        return
    gave = [plan.nodes[place] for place in sorted(ledger.outputs)]
    sinks = [node for node in gave if node.sink]
    if not sinks:
        sinks = [
            node
            for node in gave
            if not any(taken[edge] and ledger.ran >> to & 1 for edge, to in node.outgoing)
        ]
    if len(sinks) == 1:
        state[FINAL_OUTPUT] = ledger.outputs[sinks[0].index]
    elif sinks:
        state[FINAL_OUTPUT] = {node.id: ledger.outputs[node.index] for node in sinks}


def copy_json(value: Any) -> Any:
    """A deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: copy_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [copy_json(item) for item in value]
    return value


def _added(before: Any, written: Iterable[Any]) -> Any:
    """Numbers add up; an unknown amount (null) adds nothing; anything else replaces."""
    total = None if before is _ABSENT else before
    for value in written:
        if _is_number(value) and _is_number(total):
            total += value
        elif value is not None:
            total = value
    return total


def _merged(before: Any, written: Iterable[Any]) -> Any:
    """Objects merge, later keys win; anything else replaces."""
    merged = {} if before is _ABSENT else _new_object(before)
    for value in written:
        if _is_object(value) and _is_object(merged):
            merged.update(value)
        else:
            merged = _new_object(value)
    return merged


def _appended(before: Any, written: Iterable[Any]) -> list[Any]:
    """Lists append; null adds nothing; anything else is one more element."""
    items: list[Any] = []
    for value in (before, *written):
        if isinstance(value, list | tuple):
            items.extend(value)
        elif value is not _ABSENT and value is not None:
            items.append(value)
    return items


def _fresh(value: Any) -> Any:
    """The same JSON value in a container of its own."""
    if isinstance(value, list | tuple):
        return list(value)
    return dict(value) if isinstance(value, dict) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_object(value: Any) -> TypeGuard[JsonObject]:
    return isinstance(value, dict) and not is_value_ref(value)


def _new_object(value: Any) -> Any:
    return dict(value) if _is_object(value) else value


_REDUCERS: Final[dict[str, Callable[[Any, Iterable[Any]], Any]]] = {
    **dict.fromkeys(ADDING_KEYS, _added),
    **dict.fromkeys(MERGING_KEYS, _merged),
    **dict.fromkeys(APPENDING_KEYS, _appended),
}
