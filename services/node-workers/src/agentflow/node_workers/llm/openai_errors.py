"""From what the OpenAI SDK raises to our taxonomy, in our words.

Nothing of the provider's own text gets through: it may quote the request, a URL or a key.
Its machine-readable code and the status decide.
"""

import time
from collections.abc import Callable

import openai

from agentflow.contracts.errors import NodeFailed
from agentflow.node_workers.retry_after import number_of, parse_retry_after

_CONTEXT_CODES = frozenset({"context_length_exceeded", "string_above_max_length"})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "quota_exceeded"})
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})
_CONTEXT_WORDS = ("context length", "context window", "too many tokens", "maximum context")


def failure_of(error: openai.OpenAIError, source: str, model: str) -> NodeFailed:
    """The NodeFailed that tells `error`; `source` and `model` are ours to name."""
    where = f"source {source!r} (model {model!r})"
    if isinstance(error, openai.APITimeoutError):
        return NodeFailed("timeout", f"The {where} did not answer in time.", retryable=True)
    if isinstance(error, openai.APIConnectionError):
        return NodeFailed(
            "network",
            f"The connection to the {where} failed or was cut.",
            retryable=True,
            hint="Is base_url right, and is the server up?",
        )
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, where)
    if isinstance(error, openai.ContentFilterFinishReasonError):
        return NodeFailed("content_filtered", f"The {where} filtered its answer.")
    return NodeFailed("bad_output", f"The {where} answered what the SDK could not read.")


def _by_status(error: openai.APIStatusError, where: str) -> NodeFailed:
    code = (error.code or "").lower()
    if code in _QUOTA_CODES or error.status_code == 402:
        return NodeFailed(
            "quota_exhausted",
            f"The account behind the {where} has no quota left.",
            hint="Check the plan and billing of the provider's account.",
        )
    if code in _CONTEXT_CODES or _speaks_of_context(error):
        return NodeFailed(
            "context_length",
            f"The prompt is longer than the {where} takes.",
            hint="Shorten the prompt or max_tokens, or use a model with a larger context.",
        )
    if code in _FILTER_CODES:
        return NodeFailed("content_filtered", f"The {where} refused the prompt's content.")
    tell = _BY_STATUS.get(error.status_code)
    if tell is not None:
        return tell(where, retry_after(error))
    if error.status_code >= 500:
        return _overloaded(where, retry_after(error))
    return NodeFailed(
        "invalid_request",
        f"The {where} refused the request with HTTP {error.status_code}.",
        hint="Check the model's name and the node's options.",
        details={"status": error.status_code},
    )


def _speaks_of_context(error: openai.APIStatusError) -> bool:
    """Servers that only imitate OpenAI say it in words."""
    if error.status_code not in (400, 413, 422):
        return False
    text = error.message.lower()
    return any(words in text for words in _CONTEXT_WORDS)


def _auth(where: str, _after: float | None) -> NodeFailed:
    return NodeFailed(
        "auth",
        f"The {where} does not accept the key.",
        hint="Check the secret that api_key_env names.",
    )


def _rate_limited(where: str, after: float | None) -> NodeFailed:
    return NodeFailed(
        "rate_limited",
        f"The {where} limits the rate of requests.",
        retryable=True,
        retry_after=after,
    )


def _overloaded(where: str, after: float | None) -> NodeFailed:
    return NodeFailed(
        "overloaded",
        f"The {where} is overloaded or has a fault of its own.",
        retryable=True,
        retry_after=after,
    )


def _timeout(where: str, after: float | None) -> NodeFailed:
    return NodeFailed(
        "timeout", f"The {where} gave up on the request.", retryable=True, retry_after=after
    )


_BY_STATUS: dict[int, Callable[[str, float | None], NodeFailed]] = {
    401: _auth,
    403: _auth,
    408: _timeout,
    409: _overloaded,
    429: _rate_limited,
    504: _timeout,
}


def retry_after(error: openai.APIStatusError) -> float | None:
    """Seconds the provider asks us to wait, at most an hour; None when it does not say."""
    headers = error.response.headers
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None and (parsed := number_of(milliseconds)) is not None:
        return min(parsed / 1000, 3600.0)
    return parse_retry_after(headers.get("retry-after"), time.time())
