"""What a walk asks of the shell around it. Effects are data; carrying one out twice does no harm.

DispatchNode   publish a task for a worker
RunHere        run the pure node on what it sees; feed its event back
RecordSkipped  write into the log that the node will not run
LoadValues     fetch what these references stand for; feed ValuesLoaded (or ValuesLost) back
Finish         the execution is over: exactly one per walk
"""

from dataclasses import dataclass

from agentflow.contracts.ids import NodeId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.status import ExecutionStatus


@dataclass(frozen=True, slots=True)
class DispatchNode:
    """Send the node to a worker, with what it sees (`fold.visible_state`)."""

    node_id: NodeId


@dataclass(frozen=True, slots=True)
class RunHere:
    """Run the pure node in place, on what it sees."""

    node_id: NodeId


@dataclass(frozen=True, slots=True)
class RecordSkipped:
    """The node will not run."""

    node_id: NodeId
    reason: str


@dataclass(frozen=True, slots=True)
class LoadValues:
    """A condition needs the values behind these references (their `$ref` names)."""

    refs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Finish:
    """The execution is over. `error` says why unless it completed."""

    status: ExecutionStatus
    error: NodeError | None = None


Effect = DispatchNode | RunHere | RecordSkipped | LoadValues | Finish
