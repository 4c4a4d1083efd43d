"""NodeResult: what running a node gives, before anyone says when and where it ran."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Usage(BaseModel):
    """Tokens and money of one provider call. Unknown cost is None, never 0."""

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = Field(default=None, description="US dollars")
    provider: str | None = None
    model: str | None = Field(default=None, description="the model that answered")
    finish_reason: str | None = None
    first_token_ms: float | None = None

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class NodeResult(BaseModel):
    """What a node hands back.

    `output` is kept under `outputs.<node_id>` and, where `output_key` is given, written to
    that state key. `writes` are further state keys (`tokens_used`, `cost`, `metadata` …).
    `input` is what the node really used (the rendered prompt, the bound query), for the record.
    """

    model_config = ConfigDict(frozen=True)

    output: Any = None
    output_key: str | None = None
    writes: dict[str, Any] = Field(default_factory=dict)
    input: Any = None
    usage: Usage | None = None
    warnings: tuple[str, ...] = ()
