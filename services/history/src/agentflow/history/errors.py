"""What can go wrong in history.

AgentflowError
└── MalformedEvent    can never be projected: goes to the dead letters
"""

from typing import ClassVar

from agentflow.contracts.errors import AgentflowError


class MalformedEvent(AgentflowError):
    """The message is not an event of the execution its subject names."""

    code: ClassVar[str] = "malformed_event"
