"""The walk: `decide(state, event) -> (state, effects)`. What is ready, skipped, finished now.

1. The log decides. The first end of a node in log order counts; whatever follows it changes
   nothing. After Finish nothing changes any more, and there is exactly one Finish.
2. A node opens the moment its own way in is known: no stages, no barrier. It sees its ancestors;
   behind an `any` join, those that lie behind the first edge taken (in log order), whoever else
   has finished: so a replay sees the same.
3. Ends are worked off in log order. A condition that waits for a large value holds back what
   came later, so that no result depends on how long loading took.

`decide` takes ownership of the state it is given and changes it in place; use what it returns,
and `state.copy()` to keep an earlier one. It never blocks, never recurses, reads no clock.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from heapq import heappop, heappush
from typing import Any, Final

from agentflow.contracts.events import (
    CancelRequested,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionEnded,
    ExecutionFailed,
    ExecutionTimedOut,
    NodeCompleted,
    NodeFailed,
    NodeRetrying,
    NodeSkipped,
    NodeStarted,
    NodeTimedOut,
)
from agentflow.contracts.problem import NodeError
from agentflow.contracts.state import JsonObject
from agentflow.contracts.status import ExecutionStatus
from agentflow.engine.fold import copy_json, fold
from agentflow.engine.plan_parts import Plan, PlanNode
from agentflow.engine.walk import ends, values
from agentflow.engine.walk.doors import Undecided, taken_edges, wants_to_run
from agentflow.engine.walk.effects import (
    DispatchNode,
    Effect,
    Finish,
    LoadValues,
    RecordSkipped,
    RunHere,
)
from agentflow.engine.walk.happenings import DeadlinePassed, ValuesLoaded, ValuesLost
from agentflow.engine.walk.state import (
    CLOSED,
    FAILED,
    READY,
    RUNNING,
    SENT,
    SKIPPED,
    TIMED_OUT,
    WAITING,
    WalkState,
)

Happening = Event | DeadlinePassed | ValuesLoaded | ValuesLost

MAX_PARALLEL_NODES: Final = 64
"""Nodes of one execution with workers at the same time; nodes run in place do not count."""

NO_WAY_IN: Final = "no way into the node was taken"
UNREACHABLE: Final = "no edge leads to the node"


def start(
    plan: Plan,
    initial_state: JsonObject,
    *,
    deadline: datetime | None = None,
    max_parallel: int = MAX_PARALLEL_NODES,
) -> tuple[WalkState, list[Effect]]:
    """A walk at its beginning, and what to do first. The initial state is copied."""
    state = WalkState(plan, copy_json(initial_state), deadline, max_parallel)
    state.entered[plan.start] = 1
    for node in plan.nodes:
        if not node.incoming or (node.index == plan.start and node.any_join):
            heappush(state.opening, node.index)
    effects: list[Effect] = []
    _go_on(state, effects)
    return state, effects


def decide(state: WalkState, event: Happening) -> tuple[WalkState, list[Effect]]:
    """Fold one event in; returns the state (the same object) and what to do now."""
    effects: list[Effect] = []
    hear = _HEARERS.get(type(event))
    if hear is not None and (state.finish is None or isinstance(event, ExecutionEnded)):
        hear(state, event, effects)
    return state, effects


def replay(state: WalkState, events: Iterable[Happening]) -> WalkState:
    """Fold a log; what it asked for at the time is past. Then ask `resume`."""
    for event in events:
        decide(state, event)
    return state


def resume(state: WalkState) -> list[Effect]:
    """What is outstanding now: to be carried out by whoever takes the execution over."""
    if state.finish is not None:
        return [] if state.finish_recorded else [state.finish]
    nodes = state.plan.nodes
    effects: list[Effect] = [
        RecordSkipped(nodes[place].id, state.skips[place]) for place in sorted(state.skips)
    ]
    if state.needs:
        effects.append(LoadValues(state.needs - state.loaded.keys()))
    for node_id in state.outstanding():
        node = state.plan.node(node_id)
        effects.append(RunHere(node.id) if node.pure else DispatchNode(node.id))
    return effects


def _on_completed(state: WalkState, event: NodeCompleted, effects: list[Effect]) -> None:
    place = _unresolved(state, event.node_id)
    if place is None:
        return
    ends.record_completed(state, place, event)
    state.arrived.append(place)
    _go_on(state, effects)


def _on_failed(state: WalkState, event: NodeFailed, effects: list[Effect]) -> None:
    place = _unresolved(state, event.node_id)
    if place is None:
        return
    kind = TIMED_OUT if isinstance(event, NodeTimedOut) else FAILED
    ends.record_failed(state, place, kind, event.error)
    state.arrived.append(place)
    _go_on(state, effects)


def _on_skipped(state: WalkState, event: NodeSkipped, effects: list[Effect]) -> None:
    place = state.plan.index.get(event.node_id)
    if place is None:
        return
    state.skips.pop(place, None)
    if not state.record[place]:
        state.record[place] = SKIPPED
        state.arrived.append(place)
        _go_on(state, effects)


def _on_started(state: WalkState, event: NodeStarted, _: list[Effect]) -> None:
    place = state.plan.index.get(event.node_id)
    if place is not None and state.phase[place] == SENT:
        state.phase[place] = RUNNING


def _on_retrying(state: WalkState, event: NodeRetrying, _: list[Effect]) -> None:
    place = state.plan.index.get(event.node_id)
    if place is not None and state.phase[place] == RUNNING:
        state.phase[place] = SENT


def _on_cancel(state: WalkState, event: CancelRequested, effects: list[Effect]) -> None:
    _finish(state, effects, ExecutionStatus.CANCELLED, ends.cancelled(event))


def _on_deadline(state: WalkState, event: DeadlinePassed, effects: list[Effect]) -> None:
    _finish(state, effects, ExecutionStatus.TIMED_OUT, ends.deadline_passed(state, event))


def _on_loaded(state: WalkState, event: ValuesLoaded, effects: list[Effect]) -> None:
    state.loaded.update((ref, event.values[ref]) for ref in state.needs & event.values.keys())
    if state.needs and state.needs <= state.loaded.keys():
        state.needs = frozenset()
        _go_on(state, effects)


def _on_lost(state: WalkState, event: ValuesLost, effects: list[Effect]) -> None:
    if state.needs & event.refs:
        _finish(state, effects, ExecutionStatus.FAILED, ends.values_lost(event))


def _on_ended(state: WalkState, event: ExecutionEnded, _: list[Effect]) -> None:
    """The log says it is over, whatever we made of it."""
    if not state.finish_recorded:
        state.finish = Finish(event.STATUS, event.error)
        state.finish_recorded = True


_HEARERS: Final[dict[type, Callable[[WalkState, Any, list[Effect]], None]]] = {
    NodeCompleted: _on_completed,
    NodeFailed: _on_failed,
    NodeTimedOut: _on_failed,
    NodeSkipped: _on_skipped,
    NodeStarted: _on_started,
    NodeRetrying: _on_retrying,
    CancelRequested: _on_cancel,
    DeadlinePassed: _on_deadline,
    ValuesLoaded: _on_loaded,
    ValuesLost: _on_lost,
    ExecutionCompleted: _on_ended,
    ExecutionFailed: _on_ended,
    ExecutionCancelled: _on_ended,
    ExecutionTimedOut: _on_ended,
}


def _unresolved(state: WalkState, node_id: str) -> int | None:
    """The node's place if the log has not said yet how it ended: the first word counts."""
    place = state.plan.index.get(node_id)
    return None if place is None or state.record[place] else place


def _go_on(state: WalkState, effects: list[Effect]) -> None:
    """Work off what is known: open nodes in plan order, then the next end in log order."""
    try:
        while state.finish is None and not state.needs:
            if state.opening:
                _open(state, heappop(state.opening), effects)
            elif state.arrived:
                _depart(state, state.arrived[0], effects)
            else:
                break
    except Undecided as undecided:
        _finish(state, effects, ExecutionStatus.FAILED, undecided.error)
    if state.finish is not None:
        return
    _dispatch(state, effects)
    if not state.unresolved:
        _finish(state, effects, ExecutionStatus.COMPLETED, None)


def _open(state: WalkState, place: int, effects: list[Effect]) -> None:
    """The way into a node is known: run it, skip it, or see that the log has its end already."""
    node = state.plan.nodes[place]
    if node.shifting and place not in state.seen:
        state.seen[place] = _behind(state, node)
    if state.record[place]:
        state.phase[place] = READY
        if place in state.parked:
            state.parked.discard(place)
            state.arrived.insert(0, place)
        return
    if not state.entered[place]:
        _skip(state, node, NO_WAY_IN if node.incoming else UNREACHABLE, effects)
        return
    if node.when is not None:
        seen = _read(state, state.seen_by(place), node.when_keys, effects)
        if seen is None:
            heappush(state.opening, place)
            return
        if not wants_to_run(node, seen):
            _skip(state, node, f"`when` is false: {node.when.text}", effects)
            return
    if node.pure:
        state.phase[place] = SENT
        effects.append(RunHere(node.id))
    else:
        state.phase[place] = READY
        heappush(state.ready, place)


def _depart(state: WalkState, place: int, effects: list[Effect]) -> None:
    """A node has ended: take its edges, or finish with its failure."""
    node = state.plan.nodes[place]
    record = state.record[place]
    if state.phase[place] == WAITING:
        state.parked.add(place)
        state.arrived.pop(0)
        return
    failed = record in (FAILED, TIMED_OUT)
    if failed and node.on_error == "fail":
        _finish(state, effects, ExecutionStatus.FAILED, state.errors[place])
        return
    over_budget = ends.charge(state, place)
    if over_budget is not None:
        _finish(state, effects, ExecutionStatus.FAILED, over_budget)
        return
    taken: set[int] | None = None
    if record == SKIPPED:
        taken = set()
    elif not node.always:
        own = state.seen_by(place) | 1 << place
        seen = _read(state, own, node.exit_keys, effects)
        if seen is None:
            return
        taken = taken_edges(node, seen, went_over=failed and node.on_error == "goto")
    state.arrived.pop(0)
    _close(state, node, taken)


def _skip(state: WalkState, node: PlanNode, reason: str, effects: list[Effect]) -> None:
    state.record[node.index] = SKIPPED
    state.skips[node.index] = reason
    effects.append(RecordSkipped(node.id, reason))
    _close(state, node, set())


def _close(state: WalkState, node: PlanNode, taken: set[int] | None) -> None:
    """Resolve the node's edges (None: all are taken) and see whose way in is known by that."""
    place = node.index
    if state.phase[place] >= SENT and not node.pure:
        state.slots_used -= 1
    state.phase[place] = CLOSED
    state.unresolved -= 1
    nodes, entered, waiting_in = state.plan.nodes, state.entered, state.waiting_in
    for edge, target in node.outgoing:
        waiting_in[target] -= 1
        any_join = nodes[target].any_join
        opened = any_join and entered[target]
        if taken is None or edge in taken:
            state.taken[edge] = 1
            if any_join and not entered[target]:
                state.seen[target] = state.seen_by(place) | 1 << place
                heappush(state.opening, target)
                opened = True
            entered[target] = 1
        if not waiting_in[target] and not opened:
            heappush(state.opening, target)


def _dispatch(state: WalkState, effects: list[Effect]) -> None:
    """Send ready nodes in plan order as long as there are slots."""
    while state.ready and state.slots_used < state.max_parallel:
        place = heappop(state.ready)
        if not state.record[place]:
            state.phase[place] = SENT
            state.slots_used += 1
            effects.append(DispatchNode(state.plan.nodes[place].id))


def _behind(state: WalkState, node: PlanNode) -> int:
    """What lies behind all edges into a node: their sources and what those saw."""
    seen = 0
    for _, source in node.incoming:
        seen |= state.seen_by(source) | 1 << source
    return seen


def _read(
    state: WalkState, seen: int, keys: frozenset[str], effects: list[Effect]
) -> JsonObject | None:
    """What a condition reads, large values fetched; None when it has to wait for some."""
    found = fold(state.plan, state.initial, state.ledger, seen, keys)
    missing = values.fill(found, state.loaded)
    if missing:
        state.needs = frozenset(missing)
        effects.append(LoadValues(state.needs))
        return None
    if state.loaded:
        state.loaded = {}
    return found


def _finish(
    state: WalkState,
    effects: list[Effect],
    status: ExecutionStatus,
    error: NodeError | None,
) -> None:
    if state.finish is None:
        state.finish = Finish(status, error)
        effects.append(state.finish)
