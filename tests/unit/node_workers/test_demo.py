"""Provider demo: canned, labelled, the same each time."""

import pytest

from agentflow.node_workers.llm.demo import estimate_tokens
from agentflow.node_workers.runner import NodeRunner
from tests.support.node_calls import failure, node, run, source


async def test_an_answer_says_that_it_is_canned_and_costs_nothing(runner: NodeRunner) -> None:
    ask = node("llm", prompt="Tell me about {topic}")
    demo = source("llm", provider="demo")
    first = await run(runner, ask, demo, {"topic": "whales"})
    second = await run(runner, ask, demo, {"topic": "whales"})
    assert first == second
    assert first.output.startswith("[canned]")
    assert "whales" in first.output
    assert first.usage is not None
    assert (first.usage.model, first.usage.provider) == ("demo (canned)", "demo")
    assert first.writes["cost"] == 0.0
    assert first.writes["tokens_used"] == first.usage.total_tokens > 0


async def test_replies_are_chosen_by_what_the_prompt_holds(runner: NodeRunner) -> None:
    demo = source(
        "llm",
        provider="demo",
        replies=[
            {"match": "Weather", "reply": "rain"},
            {"match": "facts", "reply": {"owner": "ada"}},
            {"match": "", "reply": "anything"},
        ],
    )
    for prompt, reply in (("the weather?", "rain"), ("x", "anything")):
        assert (await run(runner, node("llm", prompt=prompt), demo)).output == reply
    facts = node("llm", prompt="facts", parse_json=True)
    assert (await run(runner, facts, demo)).output == {"owner": "ada"}
    mapping = source("llm", provider="demo", replies={"hello": "hi"})
    assert (await run(runner, node("llm", prompt="Hello!"), mapping)).output == "hi"


async def test_it_fails_on_purpose_for_each_node_apart(runner: NodeRunner) -> None:
    demo = source("llm", provider="demo", fail_times=2, fail_with="rate_limited")
    ask = node("llm", prompt="x")
    for key in ("e1.n", "e2.n"):
        for _ in range(2):
            error = await failure(runner, ask, demo, effect_key=key)
            assert (error.error_code, error.retryable) == ("rate_limited", True)
        assert (await run(runner, ask, demo, effect_key=key)).output


async def test_its_delay_can_be_cut(runner: NodeRunner) -> None:
    demo = source("llm", provider="demo", delay_seconds=60)
    error = await failure(runner, node("llm", prompt="x"), demo, timeout=0.05)
    assert error.error_code == "timeout"


@pytest.mark.parametrize(
    ("text", "least", "most"), [("", 0, 0), ("hello world", 2, 3), ("a" * 60, 10, 10)]
)
def test_tokens_are_estimated(text: str, least: int, most: int) -> None:
    assert least <= estimate_tokens(text) <= most
