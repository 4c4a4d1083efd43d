"""Running a pure node in place: what it sees goes in, its event comes out."""

from typing import Any

from agentflow.bus.bus import utc_now
from agentflow.bus.values import ValueStore
from agentflow.contracts.errors import AgentflowError, DependencyDown, NodeFailed
from agentflow.contracts.events import ExecutionStarted, NodeCompleted, NodeEvent
from agentflow.contracts.events import NodeFailed as NodeFailedEvent
from agentflow.contracts.ids import NodeId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.spec import Node
from agentflow.engine.nodes import run_pure_node


async def run_here(
    node: Node,
    state: dict[str, Any],
    started: ExecutionStarted,
    values: ValueStore,
    executor_id: str,
) -> NodeEvent:
    """The node's NodeCompleted or NodeFailed."""
    began = utc_now()
    common: dict[str, Any] = {
        "tenant": started.tenant,
        "execution_id": started.execution_id,
        "node_id": NodeId(node.id),
        "node_type": node.kind,
        "worker_id": executor_id,
        "dispatched_at": began,
        "started_at": began,
    }
    try:
        seen = await values.resolve(state, started.tenant)
        result = run_pure_node(node, seen)
        output = await values.offload_value(result.output, started.tenant, started.execution_id)
        writes = result.writes and await values.offload(
            result.writes, started.tenant, started.execution_id
        )
    except NodeFailed as failure:
        error = failure.to_node_error(node.id, 1)
    except DependencyDown:
        raise  # says nothing about the node: whoever has the execution next decides it again
    except AgentflowError as failure:
        error = NodeError(
            code=failure.code, message=failure.message, node_id=node.id, hint=failure.hint
        )
    except Exception as failure:  # noqa: BLE001 - a node must fail, never the executor
        error = NodeError(
            code="internal_error",
            message=f"Node {node.id!r} could not be decided: {type(failure).__name__}.",
            node_id=node.id,
        )
    else:
        return NodeCompleted(
            **common,
            occurred_at=utc_now(),
            output=output,
            output_key=result.output_key,
            writes=writes,
            input=await values.offload_value(result.input, started.tenant, started.execution_id),
            usage=result.usage,
            warnings=result.warnings,
        )
    return NodeFailedEvent(**common, occurred_at=utc_now(), error=error)
