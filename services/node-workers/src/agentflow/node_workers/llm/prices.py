"""What a call cost, from the bundled price list or the source's own prices.

An unknown model has no price: None with a warning, never 0.
"""

from typing import Any

from agentflow.node_workers.llm.provider import LlmAnswer

_MILLION = 1_000_000
_BAD_PRICES = (
    "The source's `prices` need the numbers input and output (US dollars per million tokens): "
    "the cost is unknown."
)


def cost_of(
    answer: LlmAnswer, provider: str, override: Any = None
) -> tuple[float | None, str | None]:
    """US dollars and a warning, either may be None.

    `override` is the source's `prices`: `{"input": usd, "output": usd, "cached_input"?: usd}`
    per million tokens.
    """
    if answer.free:
        return 0.0, None
    if isinstance(override, dict):
        return _own_price(answer, override)
    return _listed_price(answer, provider)


def _own_price(answer: LlmAnswer, prices: dict[str, Any]) -> tuple[float | None, str | None]:
    try:
        per_input, per_output = float(prices["input"]), float(prices["output"])
        per_cached = float(prices.get("cached_input", per_input))
    except (KeyError, TypeError, ValueError):
        return None, _BAD_PRICES
    fresh = max(0, answer.prompt_tokens - answer.cached_tokens)
    total = (
        fresh * per_input
        + answer.cached_tokens * per_cached
        + answer.completion_tokens * per_output
    )
    return total / _MILLION, None


def _listed_price(answer: LlmAnswer, provider: str) -> tuple[float | None, str | None]:
    from genai_prices import Usage, calc_price

    usage = Usage(
        input_tokens=answer.prompt_tokens,
        cache_read_tokens=answer.cached_tokens,
        output_tokens=answer.completion_tokens,
    )
    try:
        price = calc_price(usage, answer.model, provider_id=provider)
    except LookupError:
        return None, (
            f"No price is known for the model {answer.model!r} of {provider!r}: the cost is "
            "unknown. Set `prices` in the source's config."
        )
    return float(price.total_price), None
