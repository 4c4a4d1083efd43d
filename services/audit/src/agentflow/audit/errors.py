"""What can go wrong in audit.

AgentflowError
└── MalformedRecord    can never be recorded: goes to the dead letters
"""

from typing import ClassVar

from agentflow.contracts.errors import AgentflowError


class MalformedRecord(AgentflowError):
    """The message is neither the end of an execution nor an audit record."""

    code: ClassVar[str] = "malformed_audit_record"
