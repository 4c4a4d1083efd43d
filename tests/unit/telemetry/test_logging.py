"""What a service writes: one JSON line a thing, with its context, without secrets."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentflow.telemetry.logging import configure_logging, get_logger, log_context
from agentflow.telemetry.redaction import REDACTED, is_secret_name, redact, redact_text
from agentflow.telemetry.tracing import configure_tracing

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    structlog.contextvars.clear_contextvars()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def lines(capture: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capture.readouterr().err.splitlines()]


def test_a_line_carries_service_level_time_and_fields(capsys: Capture) -> None:
    configure_logging("executor")
    get_logger("walk").info("node done", took_ms=3)
    (line,) = lines(capsys)
    assert line["event"] == "node done"
    assert line["service"] == "executor"
    assert line["logger"] == "walk"
    assert line["level"] == "info"
    assert line["took_ms"] == 3
    assert line["timestamp"].endswith("Z")


def test_configuring_again_never_doubles_a_line(capsys: Capture) -> None:
    for service in ("gateway", "executor", "gateway"):
        configure_logging(service)
    get_logger().warning("once")
    logging.getLogger("stdlib").warning("once too")
    assert [line["event"] for line in lines(capsys)] == ["once", "once too"]


async def test_services_in_one_process_mark_their_own_lines(capsys: Capture) -> None:
    async def service(name: str) -> None:
        configure_logging(name)
        for _ in range(3):
            await asyncio.sleep(0)
            get_logger().info("tick")
            logging.getLogger("library").info("tock")

    await asyncio.gather(service("history"), service("audit"))
    written = lines(capsys)
    assert sorted(line["service"] for line in written) == ["audit"] * 6 + ["history"] * 6


def test_context_is_on_every_line_inside_and_none_outside(capsys: Capture) -> None:
    configure_logging("executor")
    with log_context(tenant="acme", execution_id="exec_1"):
        logging.getLogger("lib").warning("inside")
    get_logger().warning("outside")
    inside, outside = lines(capsys)
    assert (inside["tenant"], inside["execution_id"]) == ("acme", "exec_1")
    assert "tenant" not in outside


def test_the_standard_librarys_lines_take_the_same_road(capsys: Capture) -> None:
    configure_logging("audit")
    logging.getLogger("lib").warning("to %s failed", "nats://token12345@h", extra={"n": 1})
    (line,) = lines(capsys)
    assert line["event"] == f"to nats://{REDACTED}@h failed"
    assert line["n"] == 1
    assert line["service"] == "audit"


def test_levels_below_the_set_one_are_not_written(capsys: Capture) -> None:
    configure_logging("x", level="WARNING")
    get_logger().info("no")
    logging.getLogger("lib").info("no")
    logging.getLogger("httpx").info("never")
    get_logger().error("yes")
    assert [line["event"] for line in lines(capsys)] == ["yes"]


def test_a_traceback_is_one_line_and_quotes_no_password(capsys: Capture) -> None:
    configure_logging("history")
    try:
        raise ConnectionError("postgresql://agent:hunter2secret@db/agentflow refused")
    except ConnectionError:
        get_logger().exception("no database")
    text = capsys.readouterr().err
    (line,) = [json.loads(row) for row in text.splitlines()]
    assert "ConnectionError" in line["exception"]
    assert "hunter2secret" not in text


def test_the_console_format_is_for_eyes_and_redacts_as_well(capsys: Capture) -> None:
    configure_logging("dev", json=False)
    get_logger().info("started", api_key="sk-live-1234567890", port=8080)
    text = capsys.readouterr().err
    assert "started" in text
    assert "port=8080" in text
    assert "sk-live" not in text


def test_a_line_written_inside_a_span_names_its_trace(capsys: Capture) -> None:
    configure_logging("x")
    tracing = configure_tracing("x", sampling_ratio=1.0, exporter=InMemorySpanExporter())
    with tracing.span("work") as span:
        get_logger().info("inside")
    tracing.shutdown()
    (line,) = lines(capsys)
    assert line["trace_id"] == format(span.get_span_context().trace_id, "032x")


def test_odd_values_and_keys_do_not_break_the_line(capsys: Capture) -> None:
    configure_logging("x")
    get_logger().info("odd", value=object(), raw=b"\xff", text="\ud800 ü\n", nested={1: {2: {3}}})
    (line,) = lines(capsys)
    assert line["nested"] == {"1": {"2": [3]}}


SECRETS = [
    ("api_key", "abc"),
    ("API_KEY", "abc"),
    ("x-api-key", "abc"),
    ("Authorization", "Bearer abc"),
    ("db_password", "abc"),
    ("client_secret", "abc"),
    ("access_token", "abc"),
    ("token", "abc"),
    ("Set-Cookie", "abc"),
    ("private_key", "abc"),
]


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_a_value_whose_name_says_secret_is_blanked_at_any_depth(name: str, value: str) -> None:
    assert redact({"a": [{name: value, "kept": 1}]}) == {"a": [{name: REDACTED, "kept": 1}]}
    assert redact({name: {"even": "objects"}}) == {name: REDACTED}


@pytest.mark.parametrize(
    "name",
    ["tokens_used", "prompt_tokens", "max_tokens", "api_key_env", "author", "key", "secretary"],
)
def test_names_that_only_sound_like_secrets_are_kept(name: str) -> None:
    assert not is_secret_name(name)
    assert redact({name: "OPENAI_API_KEY"}) == {name: "OPENAI_API_KEY"}


def test_counts_and_absent_values_are_kept_even_under_a_secret_name() -> None:
    assert redact({"token": 7, "password": None, "secret": False}) == {
        "token": 7,
        "password": None,
        "secret": False,
    }


CANARY = "c4n4ryS3cretValue99"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://user:{CANARY}@host:5432/db",
        f"redis://:{CANARY}@host/0",
        f"nats://{CANARY}@host:4222",
        f"Authorization: Bearer {CANARY}",
        f"authorization=Basic {CANARY}==",
        f"failed with sk-{CANARY} at once",
        f"key gsk_{CANARY}",
        f"ghp_{CANARY}",
        f"af_dev.{CANARY}",
        f"https://api/x?api_key={CANARY}&q=1",
        f"https://api/x?q=1&access_token={CANARY}",
        f'{{"password": "{CANARY}"}}',
        f"OPENAI_API_KEY={CANARY}",
        f"password='{CANARY}'",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{CANARY}",
    ],
)
def test_a_secret_in_the_middle_of_a_text_is_blanked(text: str) -> None:
    assert CANARY not in redact_text(text)
    assert REDACTED in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "node n took 3 ms",
        "http://127.0.0.1:8222/healthz",
        "nats://127.0.0.1:4222",
        "postgresql://127.0.0.1/db",
        "tokens_used=512 max_tokens: 1000",
        "api_key_env=OPENAI_API_KEY",
        "exec_0192f0c8-task-risk-free",
        "2026-11-21T03:12:44.370443Z",
    ],
)
def test_harmless_texts_are_kept(text: str) -> None:
    assert redact_text(text) == text


def test_what_is_too_deep_is_dropped_not_searched() -> None:
    value: object = {"password": CANARY}
    for _ in range(500):
        value = [value]
    assert CANARY not in json.dumps(redact(value))


@given(st.text(max_size=300))
def test_redaction_never_fails_and_is_stable(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once
