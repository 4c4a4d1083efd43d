"""What callers get back, where it is not simply what the storage room hands out.

Times are UTC, cost is US dollars (null: unknown).
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agentflow.contracts.problem import Issue, NodeError
from agentflow.contracts.replies import PlanView
from agentflow.contracts.status import ExecutionStatus

_ID = "exec_019aa0c1d2e37f4a8b5c6d7e8f901234"
_STATE = {"user_input": "world", "final_output": "Hello world!"}


class View(BaseModel):
    """Base of response bodies."""

    model_config = ConfigDict(frozen=True)


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(frozen=True, json_schema_extra={"examples": [fields]})


class ExecutionOutcome(View):
    """How an execution ended. `status` is `success` only when it completed."""

    model_config = _example(
        status="success",
        execution_id=_ID,
        execution_status="COMPLETED",
        final_state=_STATE,
        execution_time=0.012,
        tokens_used=0,
        cost=0.0,
    )

    status: Literal["success", "error"]
    execution_id: str
    execution_status: ExecutionStatus
    final_state: dict[str, Any] = Field(description="partial unless the execution completed")
    execution_time: float = Field(description="seconds")
    tokens_used: int = 0
    cost: float | None = Field(default=None, description="US dollars; null: unknown")
    error: NodeError | None = Field(default=None, description="why it did not complete")
    warnings: tuple[str, ...] = ()


class JobView(View):
    """An execution that was accepted, and where to look for it."""

    model_config = _example(
        job_id=_ID,
        execution_id=_ID,
        status="PENDING",
        status_url=f"/api/v1/jobs/{_ID}",
        result_url=f"/api/v1/jobs/{_ID}/result",
        events_url=f"/api/v1/executions/{_ID}/events",
    )

    job_id: str
    execution_id: str
    status: ExecutionStatus
    status_url: str
    result_url: str
    events_url: str
    created_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: NodeError | None = None


class ValidationView(View):
    """Every error and warning of a workflow; `plan` when asked for and valid."""

    model_config = _example(
        valid=False,
        errors=[
            {
                "code": "unknown_edge_target",
                "message": "The edge leads to 'anwser', which is no node.",
                "severity": "error",
                "pointer": "/edges/0/to",
                "node_id": "input",
                "line": 7,
                "column": 38,
                "hint": "Did you mean 'answer'?",
            }
        ],
        warnings=[],
    )

    valid: bool
    errors: tuple[Issue, ...] = ()
    warnings: tuple[Issue, ...] = ()
    plan: PlanView | None = None


class CancelView(View):
    """What became of a cancel: `CANCELLED`, or still `RUNNING`/`PENDING` and going to end."""

    model_config = _example(execution_id=_ID, status="CANCELLED", cancel_requested=True)

    execution_id: str
    status: ExecutionStatus
    cancel_requested: bool = True


class HealthView(View):
    """Whether the process lives, and whether what it needs answers."""

    model_config = _example(
        status="ready", checks={"bus": {"status": "ok", "ms": 0.4}, "database": {"status": "ok"}}
    )

    status: str
    checks: dict[str, Any] = Field(default_factory=dict)
