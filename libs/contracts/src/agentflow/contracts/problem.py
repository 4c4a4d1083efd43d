"""Problem: the one shape in which anything that went wrong is told (RFC 9457)."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Issue(BaseModel):
    """One error or warning about a spec or a request body."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    severity: Literal["error", "warning"] = "error"
    pointer: str = Field(default="", description="JSON pointer (RFC 6901) into the document")
    node_id: str | None = None
    line: int | None = Field(default=None, description="1-based, where the text is known")
    column: int | None = Field(default=None, description="1-based, where the text is known")
    hint: str | None = None


class Problem(BaseModel):
    """`application/problem+json`, and the body of a refusal on the bus."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: tuple[Issue, ...] = ()
    request_id: str | None = None
    execution_id: str | None = None
    retry_after: float | None = Field(default=None, description="seconds")


class NodeError(BaseModel):
    """Why a node failed: what, where and what to do. Never an upstream's raw text."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    node_id: str | None = None
    attempt: int | None = None
    retryable: bool = False
    retry_after: float | None = Field(default=None, description="seconds, said by the provider")
    hint: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)
