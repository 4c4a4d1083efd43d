"""What can go wrong on the bus.

AgentflowError
├── DependencyDown
│   ├── BusDown              not connected                               503
│   ├── StreamFull           refuses new messages until there is room    503
│   └── OutcomeUnknown       published, no answer: may be stored         503
├── PayloadTooLarge          over the server's limit, not sent           413
├── PublishRefused           the server's word on this very message
│   ├── AlreadyOutstanding   the subject holds a message already
│   └── WrongLastSequence    somebody wrote first
└── TopologyError            streams or server are not what is needed
"""

from typing import ClassVar

from agentflow.contracts.errors import AgentflowError, DependencyDown


class BusDown(DependencyDown):
    """The message bus does not answer."""

    code: ClassVar[str] = "bus_down"


class StreamFull(DependencyDown):
    """The stream is full and refuses new work; nothing was evicted."""

    code: ClassVar[str] = "stream_full"
    retry_after: ClassVar[float] = 5.0


class PublishRefused(AgentflowError):
    """The server refused the message."""

    code: ClassVar[str] = "publish_refused"


class AlreadyOutstanding(PublishRefused):
    """The subject already holds a message: the same order is outstanding."""

    code: ClassVar[str] = "already_outstanding"
    status: ClassVar[int] = 409


class WrongLastSequence(PublishRefused):
    """Somebody else wrote to these subjects first."""

    code: ClassVar[str] = "wrong_last_sequence"
    status: ClassVar[int] = 409


class TopologyError(AgentflowError):
    """Streams, consumers or the server are not what this release needs."""

    code: ClassVar[str] = "bus_topology"
