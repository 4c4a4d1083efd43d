"""What the gateway refuses, with the HTTP status on the class.

AgentflowError
├── BadInput
│   ├── MalformedRequest        body, query or header cannot be used        422
│   └── UnsupportedMediaType    not JSON by its own word                    415
├── Unauthenticated             no key, or none we know                     401
├── Forbidden                   the key's role lacks the permission         403
├── NotFound                    not there, or not yours: no difference      404
├── Conflict                    against what is already so                  409
└── TooManyStreams              this process holds enough event streams     503
"""

from typing import Any, ClassVar

from agentflow.contracts.errors import AgentflowError, BadInput, DependencyDown


class MalformedRequest(BadInput):
    """The request cannot be used as it is."""

    code: ClassVar[str] = "malformed_request"
    status: ClassVar[int] = 422


class UnsupportedMediaType(BadInput):
    """The body is not JSON."""

    code: ClassVar[str] = "unsupported_media_type"
    status: ClassVar[int] = 415


class Unauthenticated(AgentflowError):
    """No API key, or none that is valid."""

    code: ClassVar[str] = "unauthenticated"
    status: ClassVar[int] = 401


class Forbidden(AgentflowError):
    """The key's role lacks the permission."""

    code: ClassVar[str] = "forbidden"
    status: ClassVar[int] = 403


class NotFound(AgentflowError):
    """Not there, or not yours."""

    code: ClassVar[str] = "not_found"
    status: ClassVar[int] = 404


class Conflict(AgentflowError):
    """The request goes against what is already so; `code` says what."""

    status: ClassVar[int] = 409

    def __init__(self, code: str, message: str, *, execution_id: str | None = None) -> None:
        super().__init__(message)
        self.conflict = code
        self.execution_id = execution_id

    def to_problem(self) -> Any:
        found = {"code": self.conflict, "execution_id": self.execution_id}
        title = self.conflict.replace("_", " ").capitalize()
        return super().to_problem().model_copy(update={**found, "title": title})


class TooManyStreams(DependencyDown):
    """This process holds as many event streams as it may; try again shortly."""

    code: ClassVar[str] = "too_many_streams"
    retry_after: ClassVar[float] = 5.0
