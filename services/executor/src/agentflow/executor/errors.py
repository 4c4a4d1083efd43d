"""What ends a run of the shell without ending the execution.

AgentflowError
├── LostOwnership    another executor has the execution; this one stops touching it
├── ExecutionIdTaken the id belongs to an execution of another workflow    409
└── UnknownWorkflow  the command names a workflow nobody stored           404
"""

from typing import ClassVar

from agentflow.contracts.errors import AgentflowError, BadInput


class LostOwnership(AgentflowError):
    """Another executor has taken the execution over."""

    code: ClassVar[str] = "lost_ownership"


class UnknownWorkflow(BadInput):
    """No workflow of that id and version is stored for this tenant."""

    code: ClassVar[str] = "workflow_not_found"
    status: ClassVar[int] = 404


class ExecutionIdTaken(BadInput):
    """An execution of another workflow has this id."""

    code: ClassVar[str] = "execution_id_taken"
    status: ClassVar[int] = 409
