"""RunNode: one node of one execution, with everything a worker needs to run it."""

from typing import Any, ClassVar

from pydantic import AwareDatetime, Field

from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.contracts.message import Message, StreamName
from agentflow.contracts.spec import Node, Source


class RunNode(Message):
    """Order to a worker pool.

    The stream keeps at most one task per subject, so a node of an execution cannot be
    outstanding twice. All attempts carry the same `effect_key`.
    """

    SUBJECT: ClassVar[str] = "tasks.{pool}.{tenant}.{execution_id}.{node_id}"
    STREAM: ClassVar[StreamName | None] = "TASKS"

    tenant: TenantId
    execution_id: ExecutionId
    node_id: NodeId
    pool: str
    node: Node
    source: Source | None = None
    state: dict[str, Any] = Field(description="what the node sees; large values are references")
    deadline: AwareDatetime = Field(description="the execution's; nothing runs past it")
    dispatched_at: AwareDatetime
    effect_key: str
    workflow_name: str = "workflow"
