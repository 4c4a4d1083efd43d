"""Answers sent to the reply subject a command names."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agentflow.contracts.ids import ExecutionId
from agentflow.contracts.problem import Issue, NodeError
from agentflow.contracts.status import ExecutionStatus


class Reply(BaseModel):
    """Base of all replies; `kind` tells them apart on one inbox."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def encode(self) -> bytes:
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


class Accepted(Reply):
    """The execution is stored and will reach a terminal state."""

    kind: str = "accepted"
    execution_id: ExecutionId
    status: ExecutionStatus = ExecutionStatus.PENDING


class ExecutionResult(Reply):
    """How an execution ended."""

    kind: str = "result"
    execution_id: ExecutionId
    status: ExecutionStatus
    final_state: dict[str, Any]
    execution_time: float = Field(description="seconds")
    tokens_used: int = 0
    cost: float | None = None
    error: NodeError | None = None
    warnings: tuple[str, ...] = ()


class PlanView(BaseModel):
    """The plan of a workflow as people read it."""

    order: tuple[str, ...] = Field(description="node ids in plan order")
    stages: tuple[tuple[str, ...], ...] = Field(description="nodes of equal topological rank")
    critical_path: tuple[str, ...] = Field(description="the longest chain of nodes")
    parallel_edges: tuple[tuple[str, str], ...] = Field(
        description="edges whose target may run beside another target of the same source"
    )
    definition_hash: str


class ValidationReport(Reply):
    """Every error and warning of a spec at once."""

    kind: str = "validation"
    valid: bool
    errors: tuple[Issue, ...] = ()
    warnings: tuple[Issue, ...] = ()
    plan: PlanView | None = None
