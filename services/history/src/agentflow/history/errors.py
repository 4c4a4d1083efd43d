"""What can go wrong in history.

AgentflowError
├── MalformedEvent    can never be projected: goes to the dead letters
└── HandedBack        stopping while the database is down: the batch comes again
"""

from typing import ClassVar

from agentflow.contracts.errors import AgentflowError


class MalformedEvent(AgentflowError):
    """The message is not an event of the execution its subject names."""

    code: ClassVar[str] = "malformed_event"


class HandedBack(AgentflowError):
    """The service is stopping and the database does not answer; nothing was acknowledged."""

    code: ClassVar[str] = "handed_back"
