"""A fleet of one: carries out what the walk asks for, in any order, and keeps the log.

`Fleet` holds the log, the tasks that are out and the walk. Everything that happens is a step
taken from a list of numbers, so that a run can be repeated and shrunk. `run_walk` goes to the
end; `Fleet` alone allows duplicates, crashes and late loads.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.events import (
    CancelRequested,
    Event,
    NodeCompleted,
    NodeSkipped,
    NodeStarted,
    NodeTimedOut,
)
from agentflow.contracts.events import NodeFailed as NodeFailedEvent
from agentflow.contracts.ids import NodeId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node, WorkflowSpec
from agentflow.contracts.state import (
    ADDING_KEYS,
    APPENDING_KEYS,
    MERGING_KEYS,
    REF_PREFIX,
    is_value_ref,
)
from agentflow.engine import walk
from agentflow.engine.fold import final_state, visible_state
from agentflow.engine.plan import compile_plan
from agentflow.engine.plan_parts import Plan
from tests.support.specs import Json, behave

INLINE = {*ADDING_KEYS, *MERGING_KEYS, *APPENDING_KEYS}
"""Keys that reduce are never stored as references."""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Runner = Callable[[Node, Json], NodeResult]


def plan_of(spec: Json) -> Plan:
    """The plan of a spec given as JSON."""
    return compile_plan(WorkflowSpec.model_validate(spec))


def completed(node_id: str, output: Any = None, **fields: Any) -> NodeCompleted:
    """A result in the log."""
    return NodeCompleted(**_about(node_id), output=output, **fields)


def failed(node_id: str, code: str = "broken", message: str = "no luck") -> NodeFailedEvent:
    """A failure in the log."""
    return NodeFailedEvent(**_about(node_id), error=NodeError(code=code, message=message))


def timed_out(node_id: str) -> NodeTimedOut:
    """A timeout in the log."""
    error = NodeError(code="timeout", message="The node ran longer than 5 s.")
    return NodeTimedOut(**_about(node_id), error=error)


def skipped(node_id: str, reason: str = "routed away") -> NodeSkipped:
    """A skip in the log."""
    return NodeSkipped(**_about(node_id), reason=reason)


def started(node_id: str) -> NodeStarted:
    """A worker says it runs the node."""
    return NodeStarted(**_about(node_id))


def cancel_requested(**fields: Any) -> CancelRequested:
    """Somebody wants it to end."""
    return CancelRequested(tenant="t", execution_id="e", occurred_at=NOW, **fields)


def dispatch(node_id: str) -> walk.DispatchNode:
    """The walk wants a worker to run the node."""
    return walk.DispatchNode(NodeId(node_id))


def run_here(node_id: str) -> walk.RunHere:
    """The walk wants the node run in place."""
    return walk.RunHere(NodeId(node_id))


def _about(node_id: str) -> dict[str, Any]:
    return {
        "tenant": "t",
        "execution_id": "e",
        "occurred_at": NOW,
        "node_id": node_id,
        "node_type": "llm",
    }


class Fleet:
    """The walk, its log and the tasks that are out."""

    def __init__(
        self,
        plan: Plan,
        initial: Json,
        runner: Runner = behave,
        *,
        max_parallel: int = 64,
        by_reference: bool = False,
    ) -> None:
        self.plan = plan
        self.initial = initial
        self.runner = runner
        self.max_parallel = max_parallel
        self.by_reference = by_reference
        self.log: list[Event] = []
        self.tasks: dict[str, Json] = {}
        self.dispatched: list[str] = []
        self.shown: dict[str, Json] = {}
        self.finishes: list[walk.Finish] = []
        self.values: dict[str, Any] = {}
        self.loads: list[frozenset[str]] = []
        self.state, effects = walk.start(plan, initial, max_parallel=max_parallel)
        self.carry_out(effects)

    def carry_out(self, effects: Sequence[walk.Effect]) -> None:
        """Do what the walk asks; pure nodes' results go through the log like any other."""
        for effect in effects:
            match effect:
                case walk.DispatchNode(node_id) | walk.RunHere(node_id):
                    self._send(node_id)
                case walk.RecordSkipped(node_id, reason):
                    self.hear(skipped(node_id, reason))
                case walk.LoadValues(refs):
                    self.loads.append(refs)
                case walk.Finish():
                    self.finishes.append(effect)

    def hear(self, event: Event) -> None:
        """The event is stored, then folded."""
        self.log.append(event)
        self.state, effects = walk.decide(self.state, event)
        self.carry_out(effects)

    def load(self) -> None:
        """The values asked for longest are there now."""
        refs = self.loads.pop(0)
        event = walk.ValuesLoaded({ref: self.values[ref] for ref in refs})
        self.state, effects = walk.decide(self.state, event)
        self.carry_out(effects)

    def work(self, choice: int) -> None:
        """One of the tasks that are out ends."""
        waiting = sorted(self.tasks, key=self.plan.index.__getitem__)
        node_id = waiting[choice % len(waiting)]
        self.hear(self.end_of(node_id, self.tasks.pop(node_id)))

    def end_of(self, node_id: str, seen: Json) -> Event:
        """What running the node on `seen` puts into the log."""
        try:
            result = self.runner(self.plan.node(node_id).node, self.resolve(seen))
        except NodeFailed as failure:
            error = failure.to_node_error(node_id)
            return NodeFailedEvent(**_about(node_id), error=error)
        fields = {name: getattr(result, name) for name in ("output", "output_key", "writes")}
        if self.by_reference:
            fields["output"] = self._offload(fields["output"])
            fields["writes"] = {
                key: value if key in INLINE else self._offload(value)
                for key, value in fields["writes"].items()
            }
        return completed(node_id, **fields, usage=result.usage)

    def crash(self) -> None:
        """Another executor takes over with nothing but the log."""
        self.loads.clear()
        state, _ = walk.start(self.plan, self.initial, max_parallel=self.max_parallel)
        self.state = walk.replay(state, self.log)
        before = len(self.finishes)
        self.carry_out(walk.resume(self.state))
        del self.finishes[before + 1 :]

    @property
    def over(self) -> bool:
        return bool(self.finishes)

    def resolve(self, value: Any) -> Any:
        """The same JSON with values in place of references, as a worker sees it."""
        if is_value_ref(value):
            return self.values[value["$ref"]]
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        return value

    def _send(self, node_id: str) -> None:
        seen = visible_state(self.state, node_id)
        known = self.shown.setdefault(node_id, seen)
        assert known == seen, f"{node_id} was shown {known}, then {seen}"
        self.tasks[node_id] = seen
        self.dispatched.append(node_id)

    def _offload(self, value: Any) -> Any:
        if not isinstance(value, dict | str) or value == "":
            return value
        ref = f"{REF_PREFIX}{len(self.values)}"
        self.values[ref] = value
        return {"$ref": ref, "size": 1, "type": "json"}


def run_walk(
    spec: Json | Plan,
    initial: Json | None = None,
    order: Sequence[int] = (0,),
    runner: Runner = behave,
    **settings: Any,
) -> Fleet:
    """Walk to the end; `order` says which waiting task ends next, over and over."""
    plan = spec if isinstance(spec, Plan) else plan_of(spec)
    fleet = Fleet(plan, initial or {}, runner, **settings)
    step = 0
    while not fleet.over:
        if fleet.loads:
            fleet.load()
        elif fleet.tasks:
            fleet.work(order[step % len(order)])
        else:
            raise AssertionError(f"nothing left to do: {fleet.state.summary()}")
        step += 1
    return fleet


def every_order(spec: Json, initial: Json | None = None, **settings: Any) -> Iterator[Fleet]:
    """Walk the workflow in every order in which its tasks can end."""
    plan = plan_of(spec)
    prefixes: list[list[int]] = [[]]
    while prefixes:
        prefix = prefixes.pop()
        fleet = Fleet(plan, initial or {}, **settings)
        for choice in prefix:
            fleet.work(choice)
        while fleet.tasks and not fleet.over:
            prefixes += [[*prefix, choice] for choice in range(1, len(fleet.tasks))]
            prefix = [*prefix, 0]
            fleet.work(0)
        yield fleet


def end_state(fleet: Fleet) -> Json:
    """The final state with values in place of references."""
    state: Json = fleet.resolve(final_state(fleet.state))
    return state
