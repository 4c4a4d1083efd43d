"""LlmProvider: what a language model must be able to do for us.

One request, one answer, one error taxonomy; the provider's SDK stays behind it. Codes of
NodeFailed: rate_limited, overloaded, timeout, auth, invalid_request, context_length,
content_filtered, quota_exhausted, bad_output, network.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class LlmRequest:
    """One call. None means: the provider's default."""

    prompt: str
    model: str
    effect_key: str
    system_prompt: str | None = None
    timeout: float = 120.0
    """Seconds for the whole call."""
    response_schema: dict[str, Any] | None = None
    json_mode: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    """Sampling options by the names of SAMPLING_OPTIONS."""


SAMPLING_OPTIONS = (
    "temperature",
    "max_tokens",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "seed",
)


@dataclass(frozen=True, slots=True)
class LlmAnswer:
    """What came back; tokens as the provider counted them."""

    text: str
    model: str
    finish_reason: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    free: bool = False
    """The call costs nothing, whatever the price list says."""


class LlmProvider(Protocol):
    """A connection to one model provider with one set of credentials."""

    name: str
    """Provider id of the price list."""

    async def complete(self, request: LlmRequest) -> LlmAnswer:
        """Answer one prompt; raises NodeFailed. Cancelling closes the connection at once."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
