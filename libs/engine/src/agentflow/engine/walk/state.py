"""WalkState: how far one execution has come. A fold of its log and of nothing else.

It belongs to whoever walks it: `decide` takes it, changes it in place and gives it back. The
plan inside is shared by all executions and never changes. Per node it holds bytes, not
objects, so that 10,000 executions fit into one process.
"""

from datetime import datetime
from typing import Any, Final

from agentflow.contracts.ids import NodeId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.state import JsonObject
from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.engine.fold import Ledger
from agentflow.engine.plan_parts import Plan
from agentflow.engine.walk.effects import Finish

WAITING: Final = 0  # its way in is not known yet
READY: Final = 1  # may run, waits for a free slot
SENT: Final = 2  # with a worker, or being run in place
RUNNING: Final = 3  # a worker says so
CLOSED: Final = 4  # its edges are resolved

NOTHING: Final = 0
COMPLETED: Final = 1
FAILED: Final = 2
TIMED_OUT: Final = 3
SKIPPED: Final = 4
"""What the log says of a node; the first word counts."""

_BY_RECORD: Final = {
    COMPLETED: NodeStatus.COMPLETED,
    FAILED: NodeStatus.FAILED,
    TIMED_OUT: NodeStatus.TIMED_OUT,
    SKIPPED: NodeStatus.SKIPPED,
}
_BY_PHASE: Final = {
    WAITING: NodeStatus.PENDING,
    READY: NodeStatus.PENDING,
    SENT: NodeStatus.QUEUED,
    RUNNING: NodeStatus.RUNNING,
}


class WalkState:
    """One execution under way. Make it with `walk.start`; read it, change it only by `decide`."""

    __slots__ = (
        "arrived",
        "deadline",
        "entered",
        "errors",
        "finish",
        "finish_recorded",
        "initial",
        "ledger",
        "loaded",
        "max_parallel",
        "needs",
        "opening",
        "parked",
        "phase",
        "plan",
        "ready",
        "record",
        "seen",
        "skips",
        "slots_used",
        "spent",
        "taken",
        "unresolved",
        "usage",
        "waiting_in",
    )

    def __init__(
        self,
        plan: Plan,
        initial: JsonObject,
        deadline: datetime | None,
        max_parallel: int,
    ) -> None:
        count = len(plan.nodes)
        self.plan = plan
        self.initial = initial
        self.deadline = deadline
        self.max_parallel = max_parallel
        self.ledger = Ledger()
        self.phase = bytearray(count)
        self.record = bytearray(count)
        self.entered = bytearray(count)  # an edge into the node was taken
        self.waiting_in = list(plan.ways_in)
        self.taken = bytearray(len(plan.edge_ends))
        self.unresolved = count
        self.errors: dict[int, NodeError] = {}  # of nodes that failed
        self.skips: dict[int, str] = {}  # derived here, not seen in the log yet
        self.seen: dict[int, int] = {}  # what shifting nodes see, fixed when they open
        self.parked: set[int] = set()  # resolved by the log before their way in was known
        self.opening: list[int] = []  # nodes whose way in is known now
        self.arrived: list[int] = []  # nodes the log resolved, in log order, edges still open
        self.ready: list[int] = []  # heap of nodes waiting for a slot
        self.slots_used = 0
        self.needs: frozenset[str] = frozenset()  # references a condition waits for
        self.loaded: dict[str, Any] = {}
        self.usage: dict[int, tuple[float, int]] = {}  # usd, tokens; only with a budget
        self.spent = (0.0, 0)
        self.finish: Finish | None = None
        self.finish_recorded = False

    def seen_by(self, place: int) -> int:
        """The bitmask of the nodes whose writes the node sees (among them, those that ran)."""
        return self.seen.get(place, self.plan.nodes[place].ancestors)

    def status(self, node_id: str) -> NodeStatus:
        """How far the node has come; raises KeyError for a node that is not in the plan."""
        return self._status(self.plan.index[node_id])

    def summary(self) -> dict[NodeId, NodeStatus]:
        """The status of every node, in plan order."""
        return {node.id: self._status(node.index) for node in self.plan.nodes}

    def outstanding(self) -> tuple[NodeId, ...]:
        """Nodes dispatched or run in place whose end is not in the log, in plan order."""
        return self.plan.ids(
            place
            for place, phase in enumerate(self.phase)
            if phase in (SENT, RUNNING) and not self.record[place]
        )

    def failures(self) -> dict[NodeId, NodeError]:
        """The errors of the nodes that failed, handled or not, in plan order."""
        return {self.plan.nodes[place].id: self.errors[place] for place in sorted(self.errors)}

    def copy(self) -> "WalkState":
        """A twin that shares only the plan and JSON values, which nobody changes."""
        twin = WalkState.__new__(WalkState)
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, list | dict | set | bytearray | Ledger):
                value = value.copy()
            setattr(twin, name, value)
        return twin

    def _status(self, place: int) -> NodeStatus:
        record = self.record[place]
        if record:
            return _BY_RECORD[record]
        status = _BY_PHASE[self.phase[place]]
        over = self.finish is not None and self.finish.status is not ExecutionStatus.COMPLETED
        if over and status is not NodeStatus.PENDING:
            return NodeStatus.CANCELLED
        return status
