"""When another attempt follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.spec import RetryPolicy
from agentflow.node_workers.attempts import delay_before_next, policy_of
from agentflow.node_workers.runner import NodeTimeout
from tests.support.node_calls import node, source

PASSES = NodeFailed("overloaded", "x", retryable=True)
FINAL = NodeFailed("auth", "x")
POLICY = RetryPolicy(max_attempts=4, initial_seconds=1, multiplier=2, max_seconds=3, jitter=False)


@pytest.mark.parametrize(("attempt", "delay"), [(1, 1), (2, 2), (3, 3), (4, None), (9, None)])
def test_the_wait_doubles_up_to_its_bound_until_the_attempts_are_used(
    attempt: int, delay: float | None
) -> None:
    assert delay_before_next(PASSES, POLICY, attempt, 1000, 0.5) == delay


def test_what_will_not_pass_is_final_at_once() -> None:
    assert delay_before_next(FINAL, POLICY, 1, 1000, 0.5) is None


def test_the_policy_may_name_the_codes_it_retries() -> None:
    named = POLICY.model_copy(update={"on": ("auth",)})
    assert delay_before_next(FINAL, named, 1, 1000, 0.5) == 1
    assert delay_before_next(PASSES, named, 1, 1000, 0.5) is None


def test_a_timeout_of_the_node_is_final_unless_it_is_named() -> None:
    cut = NodeTimeout(node("llm"), 3)
    assert delay_before_next(cut, POLICY, 1, 1000, 0.5) is None
    named = POLICY.model_copy(update={"on": ("timeout",)})
    assert delay_before_next(cut, named, 1, 1000, 0.5) == 1


def test_what_the_provider_asks_for_is_honoured_beyond_the_bound() -> None:
    asked = NodeFailed("rate_limited", "x", retryable=True, retry_after=60)
    assert delay_before_next(asked, POLICY, 1, 1000, 0.5) == 60


def test_a_wait_past_the_deadline_is_none() -> None:
    asked = NodeFailed("rate_limited", "x", retryable=True, retry_after=60)
    assert delay_before_next(asked, POLICY, 1, 30, 0.5) is None


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_jitter_only_ever_shortens_the_backoff_and_never_to_nothing(
    attempt: int, chance: float
) -> None:
    jittered = RetryPolicy(max_attempts=100, initial_seconds=1, max_seconds=30)
    delay = delay_before_next(PASSES, jittered, attempt, float("inf"), chance)
    assert delay is not None
    bound = min(30.0, 2.0 ** (attempt - 1))
    assert bound / 2 <= delay <= bound


def test_max_retries_of_the_source_counts_where_the_node_says_nothing() -> None:
    llm = source("llm", provider="openai", max_retries=0)
    assert policy_of(node("llm"), llm).max_attempts == 1
    assert policy_of(node("llm", retry={"max_attempts": 5}), llm).max_attempts == 5
    assert policy_of(node("llm"), None).max_attempts == 3
    assert policy_of(node("api"), source("api", retries=7)).max_attempts == 8
    for nonsense in (True, -1, "many", 1000, None):
        assert policy_of(node("llm"), source("llm", max_retries=nonsense)).max_attempts == 3
