"""The real OpenAI SDK against a server that speaks its protocol, over loopback HTTP."""

import asyncio
from typing import Any

import pytest

from agentflow.contracts.spec import Source
from agentflow.node_workers.runner import NodeRunner
from tests.support.node_calls import failure, node, run, source
from tests.support.providers.openai_server import (
    Behaviour,
    OpenAIServer,
    answering,
    cutting,
    dripping,
    failing,
    flooding,
    hanging,
    saying,
)
from tests.support.waiting import eventually
from tests.unit.node_workers.conftest import CANARY


def origin(server: OpenAIServer, /, **config: Any) -> Source:
    return source(
        "llm",
        **{
            "provider": "openai",
            "model": "gpt-4o-mini",
            "base_url": server.base_url,
            "api_key_env": "MODEL_KEY",
            **config,
        },
    )


async def test_a_prompt_is_answered_with_text_tokens_and_cost(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    model.script.append(saying("four words in it", model="gpt-4o-mini", cached_tokens=1))
    llm = node("llm", prompt="Say {what}", system_prompt="Be {how}", output_key="answer")

    result = await run(runner, llm, origin(model), {"what": "hi", "how": "brief"})

    assert (result.output, result.output_key) == ("four words in it", "answer")
    assert result.usage is not None
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == (4, 4)
    assert (result.usage.cached_tokens, result.usage.finish_reason) == (1, "stop")
    assert (result.usage.provider, result.usage.model) == ("openai", "gpt-4o-mini")
    # $0.15 per million fresh, $0.075 per million cached, $0.60 per million completed.
    assert result.usage.cost == pytest.approx((3 * 0.15 + 1 * 0.075 + 4 * 0.60) / 1e6)
    assert result.writes == {"tokens_used": 8, "cost": result.usage.cost}
    assert result.input == {"prompt": "Say hi", "model": "gpt-4o-mini", "system_prompt": "Be brief"}
    sent = model.requests[0].json()
    assert [m["content"] for m in sent["messages"]] == ["Be brief", "Say hi"]


async def test_options_come_from_the_node_before_the_source(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    await run(
        runner,
        node("llm", prompt="x", temperature=0.1, max_tokens=5),
        origin(model, temperature=0.9, top_p=0.5, seed=7),
    )
    sent = model.requests[0].json()
    assert (sent["temperature"], sent["max_tokens"], sent["top_p"], sent["seed"]) == (
        0.1,
        5,
        0.5,
        7,
    )


async def test_the_effect_key_travels_as_idempotency_key_and_the_sdk_repeats_nothing(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    model.script.append(failing(500, "boom"))
    await failure(runner, node("llm", prompt="x"), origin(model), effect_key="exec_9.n")
    assert [r.headers["idempotency-key"] for r in model.requests] == ["exec_9.n"]


async def test_without_a_prompt_the_user_input_is_asked(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    await run(runner, node("llm"), origin(model), {"user_input": {"a": 1}})
    assert model.prompts == ['{"a":1}']
    error = await failure(runner, node("llm"), origin(model))
    assert error.error_code == "invalid_request"


async def test_json_is_parsed_when_it_is_asked_for_and_checked_against_its_schema(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
    model.script += [saying('```json\n{"n": 3}\n```'), saying('{"n": "x"}'), saying("no json")]
    llm = node("llm", prompt="x", response_schema=schema)
    assert (await run(runner, llm, origin(model))).output == {"n": 3}
    sent = model.requests[0].json()["response_format"]
    assert sent["json_schema"]["schema"] == schema
    for _ in range(2):
        error = await failure(runner, llm, origin(model))
        assert (error.error_code, error.retryable) == ("bad_output", True)

    model.script += [saying('{"n": 3}'), saying('{"n": 3}')]
    assert (await run(runner, node("llm", prompt="x"), origin(model))).output == '{"n": 3}'
    parsed = await run(runner, node("llm", prompt="x", parse_json=True), origin(model))
    assert parsed.output == {"n": 3}


async def test_an_unknown_model_has_no_price_and_says_so(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    result = await run(runner, node("llm", prompt="x"), origin(model, model="my-own-7b"))
    assert result.usage is not None
    assert result.usage.cost is None
    assert "cost" not in result.writes
    assert any("No price" in warning for warning in result.warnings)


async def test_the_prices_of_the_source_come_before_the_list(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    model.script.append(saying("one two"))
    prices = {"input": 1.0, "output": 10.0}
    result = await run(runner, node("llm", prompt="a b c"), origin(model, prices=prices))
    assert result.usage is not None
    assert result.usage.cost == pytest.approx((3 * 1 + 2 * 10) / 1e6)


@pytest.mark.parametrize(
    ("behaviour", "code", "retryable"),
    [
        (failing(401, "bad key"), "auth", False),
        (failing(403, "forbidden"), "auth", False),
        (failing(404, "no model", "model_not_found"), "invalid_request", False),
        (failing(400, "bad temperature"), "invalid_request", False),
        (failing(400, "too long", "context_length_exceeded"), "context_length", False),
        (
            failing(400, "This model's maximum context length is 4096 tokens"),
            "context_length",
            False,
        ),
        (failing(400, "no", "content_policy_violation"), "content_filtered", False),
        (failing(429, "slow down", retry_after="7"), "rate_limited", True),
        (failing(429, "pay", "insufficient_quota"), "quota_exhausted", False),
        (failing(408, "late"), "timeout", True),
        (failing(500, "boom"), "overloaded", True),
        (failing(502, "gateway"), "overloaded", True),
        (failing(503, "busy", retry_after="3"), "overloaded", True),
        (failing(504, "late"), "timeout", True),
        (failing(529, "overloaded"), "overloaded", True),
        (saying("", finish_reason="content_filter"), "content_filtered", False),
        (answering(b"<html>proxy error</html>", "text/html"), "bad_output", False),
        (answering(b'{"choices": [], "object": "chat.completion"}'), "bad_output", False),
        (answering(b'{"choices": [{"message": {"content": 5}}]}'), "bad_output", False),
        (answering(b'{"truncated'), "bad_output", False),
        (answering(b"[]"), "bad_output", False),
        (cutting(0), "network", True),
        (cutting(40), "network", True),
        (flooding(40), "payload_too_large", False),
    ],
)
async def test_each_failure_of_the_provider_has_its_code(
    runner: NodeRunner, model: OpenAIServer, behaviour: Behaviour, code: str, retryable: bool
) -> None:
    model.script.append(behaviour)
    error = await failure(runner, node("llm", prompt="x"), origin(model))
    assert (error.error_code, error.retryable) == (code, retryable), error.message
    # The next call on the same client is served.
    assert (await run(runner, node("llm", prompt="again"), origin(model))).output == "echo: again"


async def test_retry_after_is_told_in_seconds(runner: NodeRunner, model: OpenAIServer) -> None:
    model.script += [
        failing(429, "x", retry_after="7"),
        failing(429, "x", retry_after_ms="1500"),
        failing(429, "x", retry_after="nonsense"),
        failing(429, "x", retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
    ]
    waits = [
        (await failure(runner, node("llm", prompt="x"), origin(model))).retry_after
        for _ in range(4)
    ]
    assert waits == [7.0, 1.5, None, 0.0]


async def test_a_failure_quotes_neither_the_key_nor_the_providers_words(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    """The server's 401 quotes the Authorization header, as OpenAI's does in part."""
    model.key = "another"
    error = await failure(runner, node("llm", prompt="x"), origin(model))
    told = repr(error.to_node_error().model_dump())
    assert error.error_code == "auth"
    assert CANARY not in told
    assert "Incorrect" not in told
    assert model.url not in told
    assert error.__cause__ is None


async def test_cancelling_the_node_closes_the_providers_connection_at_once(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    model.script.append(hanging())
    running = asyncio.create_task(run(runner, node("llm", prompt="x"), origin(model)))
    await eventually(lambda: model.requests)
    assert model.disconnects == 0
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: model.disconnects == 1)


@pytest.mark.parametrize("behaviour", [hanging(), dripping(0.02)], ids=["silent", "slow drip"])
async def test_a_node_over_its_timeout_is_cut_with_its_connection(
    runner: NodeRunner, model: OpenAIServer, behaviour: Behaviour
) -> None:
    model.script.append(behaviour)
    error = await failure(runner, node("llm", prompt="x"), origin(model), timeout=0.3)
    assert (error.error_code, error.retryable) == ("timeout", False)
    assert "'n'" in error.message
    assert "0.3 seconds" in error.message
    await eventually(lambda: model.disconnects == 1)


async def test_the_timeout_of_the_source_is_one_that_may_pass(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    model.script.append(dripping(0.02))
    error = await failure(runner, node("llm", prompt="x"), origin(model, timeout=0.2))
    assert (error.error_code, error.retryable) == ("timeout", True)
    await eventually(lambda: model.disconnects == 1)


async def test_a_server_that_is_not_there_is_a_network_failure(runner: NodeRunner) -> None:
    gone = source(
        "llm", provider="openai", model="m", base_url="http://127.0.0.1:9", api_key_env="MODEL_KEY"
    )
    error = await failure(runner, node("llm", prompt="x"), gone)
    assert (error.error_code, error.retryable) == ("network", True)


async def test_one_client_serves_all_calls_of_a_source(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    for _ in range(5):
        await run(runner, node("llm", prompt="x"), origin(model))
    assert model.connections == 1


async def test_without_a_key_a_server_of_ones_own_gets_a_placeholder(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    model.key = None
    keyless = source("llm", provider="ollama", model="llama3", base_url=model.base_url)
    await run(runner, node("llm", prompt="x"), keyless)
    assert model.requests[0].headers["authorization"] == "Bearer no-key-needed"


async def test_nothing_of_the_operators_environment_travels(
    runner: NodeRunner, model: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "OPENAI_API_KEY": "sk-operator",
        "OPENAI_ADMIN_KEY": "sk-admin",
        "OPENAI_ORG_ID": "org-operator",
        "OPENAI_PROJECT_ID": "proj-operator",
        "OPENAI_CUSTOM_HEADERS": "X-Operator: operator-header\nAuthorization: Bearer operator",
        "OPENAI_BASE_URL": "http://127.0.0.1:9/v1",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    await run(runner, node("llm", prompt="x"), origin(model))
    sent = model.requests[0].headers
    assert sent["authorization"] == f"Bearer {CANARY}"
    assert "operator" not in repr(sent)
    assert "openai-organization" not in sent


async def test_a_redirect_of_a_provider_is_not_followed(
    runner: NodeRunner, model: OpenAIServer
) -> None:
    model.script.append(failing(307, "x", location=f"{model.base_url}/chat/completions"))
    error = await failure(runner, node("llm", prompt="x"), origin(model))
    assert error.error_code == "invalid_request"
    assert len(model.requests) == 1


@pytest.mark.parametrize(
    "config",
    [
        {"base_url": "ftp://127.0.0.1/v1"},
        {"base_url": "http://user:pass@127.0.0.1/v1"},
        {"base_url": "not a url"},
        {"provider": "clippy"},
        {"model": None},
    ],
)
async def test_a_source_that_cannot_be_used_says_why(
    runner: NodeRunner, model: OpenAIServer, config: dict[str, Any]
) -> None:
    error = await failure(runner, node("llm", prompt="x"), origin(model, **config))
    assert error.error_code in ("invalid_request", "unsupported_provider")
    assert "pass@" not in error.message
    assert model.requests == []


async def test_many_calls_run_side_by_side(runner: NodeRunner, model: OpenAIServer) -> None:
    results = await asyncio.gather(
        *(run(runner, node("llm", prompt=f"p{n}"), origin(model)) for n in range(40))
    )
    assert [r.output for r in results] == [f"echo: p{n}" for n in range(40)]


async def test_a_node_that_works_is_no_failure(runner: NodeRunner, model: OpenAIServer) -> None:
    """The negative control of `failure`."""
    with pytest.raises(AssertionError, match="did not fail"):
        await failure(runner, node("llm", prompt="x"), origin(model))
