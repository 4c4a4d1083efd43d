"""WorkflowSpec: the JSON a user writes.

Unknown keys inside `metadata` and `config` are kept; unknown keys elsewhere are errors.
The models check shapes only. Whether the graph makes sense is the engine's to say.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator

from agentflow.contracts.ids import NODE_ID_PATTERN

END = "END"
"""Edge target that means: nothing follows here."""

NODE_SETTINGS = (
    "timeout_seconds",
    "retry",
    "on_error",
    "join",
    "when",
    "pool",
    "source_id",
)
"""Settings any node may carry, on the node itself or inside its metadata (the node wins)."""


class SpecModel(BaseModel):
    """Base of all spec parts: frozen, strict about unknown keys, accepts aliases and names."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_alias=True, validate_by_name=True
    )


class RetryPolicy(SpecModel):
    """How often and how patiently a failing node is tried again. Times are in seconds."""

    max_attempts: int = Field(default=3, ge=1, le=100)
    initial_seconds: float = Field(default=0.5, ge=0, le=3600)
    multiplier: float = Field(default=2.0, ge=1, le=100)
    max_seconds: float = Field(default=30.0, ge=0, le=86400)
    jitter: bool = True
    on: tuple[str, ...] = Field(
        default=(),
        description="Error codes to retry; empty: every error marked retryable.",
    )


DEFAULT_RETRY = RetryPolicy()


class DefaultOnError(SpecModel):
    """On failure the node counts as completed with this output."""

    default: Any

    @model_serializer
    def _keep_null(self) -> dict[str, Any]:
        """`{"default": null}` is a choice: messages leave out fields that are None, not this."""
        return {"default": self.default}


class GotoOnError(SpecModel):
    """On failure the walk goes on at this node instead of the node's own edges."""

    goto: str


OnError = Literal["fail", "continue"] | DefaultOnError | GotoOnError
Join = Literal["all_active", "any"]


class Node(SpecModel):
    """One step of a workflow.

    `metadata` belongs to the node's type; see the reference of node types for its keys.
    """

    id: str = Field(pattern=NODE_ID_PATTERN)
    type: str = Field(min_length=1, max_length=100)
    name: str | None = None
    description: str | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    source_id: str | None = Field(default=None, alias="source")
    timeout_seconds: float | None = Field(default=None, gt=0, le=7 * 86400)
    # A factory that gives the one frozen default: pydantic deep-copies plain defaults.
    retry: RetryPolicy = Field(default_factory=lambda: DEFAULT_RETRY)
    on_error: OnError = "fail"
    join: Join = "all_active"
    when: str | None = None
    pool: str | None = Field(default=None, pattern=NODE_ID_PATTERN)

    @model_validator(mode="before")
    @classmethod
    def _lift_settings(cls, data: Any) -> Any:
        """Accept the common settings inside `metadata` as well."""
        if not isinstance(data, dict):
            return data
        metadata = data.get("metadata")
        if not isinstance(metadata, dict):
            return data
        lifted = dict(data)
        for key in NODE_SETTINGS:
            if key in metadata and key not in data:
                lifted[key] = metadata[key]
        if "source" in data and "source_id" not in data:
            lifted.pop("source_id", None)  # the node's own `source` wins over its metadata
        elif "source_id" not in lifted and "source" in metadata:
            lifted["source_id"] = metadata["source"]
        return lifted

    @property
    def kind(self) -> str:
        """The node type with its aliases folded (`http` is `api`)."""
        return NODE_TYPE_ALIASES.get(self.type, self.type)


NODE_TYPE_ALIASES = {"http": "api"}
NODE_TYPES = ("input", "router", "llm", "image", "db", "aggregator", "api")


class Edge(SpecModel):
    """`from` one node `to` one or several, always or under a condition."""

    source: str = Field(alias="from", min_length=1)
    to: str | tuple[str, ...]
    condition: str | None = None
    queue: str | None = None

    @property
    def targets(self) -> tuple[str, ...]:
        return (self.to,) if isinstance(self.to, str) else self.to


class Bandwidth(SpecModel):
    """Limits of a queue; what is not given is not limited."""

    max_messages_per_second: float | None = Field(default=None, gt=0)
    max_requests_per_minute: float | None = Field(default=None, gt=0)
    max_tokens_per_minute: float | None = Field(default=None, gt=0)
    burst_size: int | None = Field(default=None, ge=1)


class Queue(SpecModel):
    """A rate-limited passage between two nodes."""

    id: str = Field(pattern=NODE_ID_PATTERN)
    source: str = Field(alias="from", min_length=1)
    to: str | tuple[str, ...]
    bandwidth: Bandwidth = Field(default_factory=Bandwidth)


SourceKind = Literal["llm", "image", "db", "api"]


class Source(SpecModel):
    """A named connection to a provider. Secrets appear only as names (`api_key_env`)."""

    id: str = Field(pattern=NODE_ID_PATTERN)
    kind: SourceKind
    name: str | None = None
    description: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)


class Budget(SpecModel):
    """Spending limits of one execution."""

    usd: float | None = Field(default=None, gt=0)
    tokens: int | None = Field(default=None, gt=0)


class WorkflowSpec(SpecModel):
    """A whole workflow: nodes, edges, queues and sources."""

    name: str = Field(default="workflow", min_length=1, max_length=200)
    description: str = ""
    version: str | int = "1"
    metadata: dict[str, Any] = Field(default_factory=dict)
    start_node: str = Field(min_length=1)
    nodes: tuple[Node, ...] = Field(min_length=1, max_length=100_000)
    edges: tuple[Edge, ...] = ()
    queues: tuple[Queue, ...] = ()
    sources: tuple[Source, ...] = ()
    timeout_seconds: float | None = Field(default=None, gt=0, le=30 * 86400)
    budget: Budget | None = None

    def node(self, node_id: str) -> Node | None:
        """The node of that id, or None."""
        return next((n for n in self.nodes if n.id == node_id), None)

    def source(self, source_id: str) -> Source | None:
        """The inlined source of that id, or None."""
        return next((s for s in self.sources if s.id == source_id), None)

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        """Parse JSON text; raises pydantic.ValidationError."""
        return cls.model_validate_json(data)
