"""Errors every room shares.

AgentflowError
├── BadInput            what came in cannot be used             400
│   ├── InvalidSpec     the workflow has errors (with issues)   400
│   └── MalformedJson   not JSON, or JSON nothing can store     422
├── PayloadTooLarge     a value or message over its limit       413
├── NodeFailed          a node could not do its work
└── DependencyDown      bus, database or cache does not answer  503
    └── OutcomeUnknown  it may or may not have been stored      503
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from agentflow.contracts.problem import Issue, NodeError, Problem


class AgentflowError(Exception):
    """Something went wrong inside AgentFlow."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip()
        self.hint = hint
        super().__init__(self.message)

    def to_problem(self) -> Problem:
        title = self.code.replace("_", " ").capitalize()
        detail = f"{self.message} {self.hint}" if self.hint else self.message
        return Problem(title=title, status=self.status, code=self.code, detail=detail)


class BadInput(AgentflowError):
    """What came in cannot be used."""

    code = "bad_input"
    status = 400

    def __init__(
        self,
        message: str = "",
        *,
        issues: Sequence[Issue] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.issues = tuple(issues)

    def to_problem(self) -> Problem:
        return super().to_problem().model_copy(update={"errors": self.issues})


class InvalidSpec(BadInput):
    """The workflow has errors."""

    code = "invalid_workflow"


class MalformedJson(BadInput):
    """The body is not JSON, or holds what no database can store."""

    code = "malformed_json"
    status = 422


class PayloadTooLarge(AgentflowError):
    """A value or message is over its limit."""

    code = "payload_too_large"
    status = 413


class NodeFailed(AgentflowError):
    """A node could not do its work.

    `code` is an instance attribute here: the taxonomy of causes (`timeout`, `auth`,
    `rate_limited`, `bad_output` …) is open, so that plugins can add theirs.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        retryable: bool = False,
        retry_after: float | None = None,
        hint: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.error_code = code
        self.retryable = retryable
        self.retry_after = retry_after
        self.details = details or {}

    def to_node_error(self, node_id: str | None = None, attempt: int | None = None) -> NodeError:
        return NodeError(
            code=self.error_code,
            message=self.message,
            node_id=node_id,
            attempt=attempt,
            retryable=self.retryable,
            retry_after=self.retry_after,
            hint=self.hint,
            details=self.details,
        )


class DependencyDown(AgentflowError):
    """A dependency does not answer."""

    code = "dependency_down"
    status = 503


class OutcomeUnknown(DependencyDown):
    """The message may or may not have been stored; repeat it with the same Idempotency-Key."""

    code = "outcome_unknown"
