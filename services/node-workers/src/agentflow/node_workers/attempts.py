"""Whether a failed attempt is followed by another, and when. Pure: chance is an argument.

An error is tried again when the policy names its code, or, with no codes named, when the
error says of itself that it may pass. A node cut at its own timeout says it will not: it is
final on the first cut unless `retry.on` names `timeout`. What the provider asks for
(Retry-After) is honoured even beyond `max_seconds`; a wait that would end after the
execution's deadline is none.
"""

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.spec import Node, RetryPolicy, Source


def policy_of(node: Node, source: Source | None) -> RetryPolicy:
    """The node's policy; where it has none of its own, `max_retries` of its source counts."""
    if "retry" in node.model_fields_set or source is None:
        return node.retry
    retries = source.config.get("max_retries", source.config.get("retries"))
    if not isinstance(retries, int) or isinstance(retries, bool) or not 0 <= retries < 100:
        return node.retry
    return node.retry.model_copy(update={"max_attempts": retries + 1})


def is_retryable(error: NodeFailed, policy: RetryPolicy) -> bool:
    """Whether the kind of error is worth another attempt."""
    return error.error_code in policy.on if policy.on else error.retryable


def delay_before_next(
    error: NodeFailed, policy: RetryPolicy, attempt: int, left: float, chance: float
) -> float | None:
    """Seconds until the next attempt; None when `attempt` (from 1) was the last.

    `left` is the time to the execution's deadline in seconds, `chance` a number in [0, 1).
    """
    if attempt >= policy.max_attempts or not is_retryable(error, policy):
        return None
    backoff = policy.initial_seconds * policy.multiplier ** min(attempt - 1, 64)
    delay = min(backoff, policy.max_seconds)
    if policy.jitter:
        delay *= 0.5 + chance / 2
    if error.retry_after is not None:
        # The herd that was told the same time must not come back as one.
        delay = max(delay, error.retry_after * (1 + 0.1 * chance if policy.jitter else 1))
    return delay if delay < left else None
