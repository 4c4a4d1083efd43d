"""The runner, what leaves it, and the pools of clients."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.node_workers.app import make_runner
from agentflow.node_workers.call import NodeCall
from agentflow.node_workers.local import run_with_retries
from agentflow.node_workers.pools import SourcePool, source_key
from agentflow.node_workers.retry_after import parse_retry_after
from agentflow.node_workers.runner import NodeRunner
from agentflow.node_workers.settings import WorkersSettings
from agentflow.node_workers.storable import storable
from agentflow.node_workers.templating import Renderer
from tests.support.node_calls import failure, node, run, source


class Played:
    """A node type that does what the test says."""

    def __init__(self, does: Any) -> None:
        self.does = does
        self.closed = False

    async def run(self, call: NodeCall) -> NodeResult:
        outcome = self.does(call)
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        assert isinstance(outcome, NodeResult)
        return outcome

    async def aclose(self) -> None:
        self.closed = True


def playing(does: Any) -> NodeRunner:
    return NodeRunner({"llm": Played(does)})


async def test_pure_nodes_are_the_engines(runner: NodeRunner) -> None:
    router = node("router", routes=[{"intent": "greet", "keywords": ["hello"]}])
    assert (await run(runner, router, None, {"user_input": "Hello you"})).output == "greet"
    gate = node("input", validation={"required": True})
    assert (await failure(runner, gate)).error_code == "invalid_input"


async def test_an_unknown_type_says_what_there_is(runner: NodeRunner) -> None:
    error = await failure(runner, node("teleport"))
    assert error.error_code == "unsupported_type"
    assert "aggregator, api, db, input, llm, router" in str(error.hint)


async def test_a_crash_becomes_a_failure_that_quotes_nothing() -> None:
    def crash(_call: NodeCall) -> NodeResult:
        raise RuntimeError("the password is sesame")

    error = await failure(playing(crash), node("llm"))
    assert error.error_code == "internal_error"
    assert "RuntimeError" in error.message
    assert "sesame" not in repr(error.to_node_error())


async def test_a_timeout_inside_the_node_is_not_its_own() -> None:
    def late(_call: NodeCall) -> NodeResult:
        raise TimeoutError

    error = await failure(playing(late), node("llm"))
    assert error.error_code == "internal_error"


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        2**64,
        -(2**63) - 1,
        {1: 2},
        object(),
        b"x",
        {"a": [float("nan")]},
    ],
)
async def test_what_cannot_be_stored_is_bad_output(value: Any) -> None:
    error = await failure(playing(lambda _: NodeResult(output=value)), node("llm"))
    assert error.error_code == "bad_output"


async def test_text_is_cleaned_where_it_leaves_the_node() -> None:
    dirty = {"a\x00": ["b\ud800", ("c",)], "n": 2**64 - 1}
    result = await run(
        playing(lambda _: NodeResult(output=dirty, writes={"k": "\x00"}, input="\x00")), node("llm")
    )
    assert result.output == {"a\ufffd": ["b\ufffd", ["c"]], "n": 2**64 - 1}
    assert (result.writes, result.input) == ({"k": "\ufffd"}, "\ufffd")


def test_a_bad_place_is_named_and_depth_is_bounded() -> None:
    with pytest.raises(NodeFailed, match=r"output\.a\[1\]"):
        storable({"a": [1, float("nan")]})
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    with pytest.raises(NodeFailed, match="deeper"):
        storable(deep)


async def test_closing_the_runner_closes_its_types() -> None:
    played = Played(None)
    await NodeRunner({"llm": played}).aclose()
    assert played.closed


class Flaky:
    """Fails so many times."""

    def __init__(self, times: int, **error: Any) -> None:
        self.left = times
        self.keys: list[str] = []
        self.error = {"code": "overloaded", "message": "x", "retryable": True, **error}

    def __call__(self, call: NodeCall) -> NodeResult:
        self.keys.append(call.effect_key)
        if self.left:
            self.left -= 1
            raise NodeFailed(**self.error)
        return NodeResult(output="done")


async def test_a_local_run_retries_like_the_bus() -> None:
    retry = {"max_attempts": 3, "initial_seconds": 0.01}
    flaky, told = Flaky(2), []
    result = await run_with_retries(
        playing(flaky),
        node("llm", retry=retry),
        None,
        {},
        effect_key="k",
        timeout=5,
        on_retry=lambda _node, attempt, error, _delay: told.append((attempt, error.error_code)),
    )
    assert result.output == "done"
    assert told == [(1, "overloaded"), (2, "overloaded")]
    assert flaky.keys == ["k"] * 3
    with pytest.raises(NodeFailed):
        await run_with_retries(
            playing(Flaky(3)), node("llm", retry=retry), None, {}, effect_key="k", timeout=5
        )


class Client:
    def __init__(self) -> None:
        self.closed = False

    async def aclose(self) -> None:
        self.closed = True


def closed(client: Client) -> bool:
    return client.closed


async def test_a_pool_shares_evicts_the_idle_and_spares_the_used() -> None:
    made: dict[bytes, list[Client]] = {}

    async def make_for(key: bytes) -> Client:
        await asyncio.sleep(0)
        made.setdefault(key, []).append(Client())
        return made[key][-1]

    pool: SourcePool[Client] = SourcePool(2)

    async def use(key: bytes) -> Client:
        async with pool.lease(key, lambda: make_for(key)) as client:
            await asyncio.sleep(0.01)
            assert not client.closed
            return client

    same = await asyncio.gather(*(use(b"a") for _ in range(5)))
    assert len({id(client) for client in same}) == 1
    assert sum(not client.closed for client in made[b"a"]) == 1
    async with pool.lease(b"a", lambda: make_for(b"a")):
        await use(b"b")
        await use(b"c")
        assert [closed(made[key][0]) for key in (b"a", b"b", b"c")] == [False, True, False]
    await pool.aclose()
    assert closed(made[b"a"][0])
    assert closed(made[b"c"][0])


def test_sources_of_two_tenants_never_share_a_client() -> None:
    one = source("llm", provider="demo")
    assert source_key("a", one) == source_key("a", source("llm", provider="demo"))
    assert source_key("a", one) != source_key("b", one)
    assert source_key("a", one) != source_key("a", source("llm", provider="demo", x=1))


def test_a_whole_placeholder_keeps_its_type_and_others_become_text() -> None:
    renderer = Renderer({"n": 3, "user": {"tags": ["a"]}, "none": None})
    asked = {"n": "{n}", "t": "n={n}", "tags": "{user.tags}", "first": ["{user.tags.0}", 1.5]}
    assert renderer.value(asked) == {"n": 3, "t": "n=3", "tags": ["a"], "first": ["a", 1.5]}
    assert renderer.value("{none}") is None
    assert renderer.value("{unknown}") == "{unknown}"
    assert any("unknown" in warning for warning in renderer.warnings)
    jinja = Renderer({"n": 3}, "jinja")
    assert jinja.value("{{ n + 1 }}") == "4"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None), ("", None), ("5", 5.0), ("1.5", 1.5), ("-1", None), ("inf", None),
        ("99999", 3600.0), ("Thu, 01 Jan 1970 00:01:40 GMT", 90.0), ("rubbish", None),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0), ("nan", None),
    ],
)  # fmt: skip
def test_retry_after_is_read(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, 10.0) == seconds


def test_settings_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clean_environ: None
) -> None:
    monkeypatch.setenv("AGENTFLOW_WORKERS_TYPES", "llm, db")
    monkeypatch.setenv("AGENTFLOW_WORKERS_EGRESS_ALLOW", "loopback,10.0.0.0/8")
    monkeypatch.setenv("AGENTFLOW_WORKERS_SQLITE_DIRECTORIES", str(tmp_path))
    settings = WorkersSettings()
    assert settings.types == ("llm", "db")
    assert settings.egress_allow == ("loopback", "10.0.0.0/8")
    assert settings.sqlite_roots == (tmp_path.resolve(),)
    assert WorkersSettings(sqlite_directories=("*",)).sqlite_roots is None


async def test_variables_lent_while_the_parts_are_made_are_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clean_environ: None
) -> None:
    import sqlite3

    sqlite3.connect(tmp_path / "a.db").close()
    with monkeypatch.context() as lent:
        lent.setenv("A_DSN", f"sqlite:///{tmp_path}/a.db")
        lent.setenv("AGENTFLOW_SECRETS_DEFAULT", "A_DSN")
        made = make_runner()
    ask = node("db", query="SELECT 1 AS a")
    assert (await run(made, ask, source("db", connection_string_env="A_DSN"))).output == [{"a": 1}]
    await made.aclose()
