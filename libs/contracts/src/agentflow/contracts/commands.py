"""Orders a client gives. Published to COMMANDS by the gateway or by anyone on the bus.

The tenant is the subject's token; a tenant in the body must agree with it.
"""

from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from agentflow.contracts.ids import DEFAULT_TENANT, ID_PATTERN, ExecutionId, TenantId
from agentflow.contracts.message import Message, StreamName


class Command(Message):
    """Base of all commands."""

    STREAM: ClassVar[StreamName | None] = "COMMANDS"

    tenant: TenantId = Field(default=DEFAULT_TENANT, pattern=ID_PATTERN)
    requested_by: str | None = None
    request_id: str | None = None
    reply_to: str | None = Field(
        default=None,
        max_length=512,
        description="subject for accepted, problem and result",
    )
    occurred_at: datetime | None = None


class ExecuteWorkflow(Command):
    """Run a workflow, given inline or by id.

    Without `execution_id` it is derived from the stream sequence, so that a redelivery is
    the same execution.
    """

    SUBJECT: ClassVar[str] = "commands.{tenant}.execute"

    execution_id: ExecutionId | None = Field(default=None, pattern=ID_PATTERN)
    workflow: dict[str, Any] | None = None
    workflow_id: str | None = Field(default=None, pattern=ID_PATTERN)
    workflow_version: int | None = None
    initial_state: dict[str, Any] = Field(default_factory=dict)
    timeout_seconds: float | None = Field(default=None, gt=0, le=30 * 86400)
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)


class ValidateWorkflow(Command):
    """Check a workflow without running it; the answer is a ValidationReport at `reply_to`."""

    SUBJECT: ClassVar[str] = "commands.{tenant}.validate"

    workflow: Any = Field(default=None, description="the spec as parsed JSON")
    text: str | None = Field(default=None, description="the spec as text: gives lines and columns")
    plan: bool = False
    node: str | None = Field(default=None, description="validate this node alone")


class CancelExecution(Command):
    """End an execution: nothing new is dispatched, running calls are closed."""

    SUBJECT: ClassVar[str] = "commands.{tenant}.cancel"

    execution_id: ExecutionId = Field(pattern=ID_PATTERN)
    reason: str | None = None
