"""The validator over the bus: reports, problems, dead letters, and never a loop."""

import asyncio
import base64
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import nats
import orjson
import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NoAnswer

from agentflow.bus import topology
from agentflow.bus.definitions import Definitions
from agentflow.bus.service import ServiceApp
from agentflow.bus.settings import BusSettings
from agentflow.validator.app import create_app
from agentflow.validator.settings import ValidatorSettings
from tests.support.waiting import eventually

Json = dict[str, Any]
GOOD: Json = {
    "name": "good",
    "start_node": "a",
    "nodes": [
        {"id": "a", "type": "input"},
        {"id": "b", "type": "aggregator", "metadata": {"strategy": "merge", "source_keys": ["x"]}},
    ],
    "edges": [{"from": "a", "to": "b"}],
}
BAD = """{
  "start_node": "missing",
  "nodes": [{"id": "a", "type": "input"}, {"id": "a", "type": "inptu"}],
  "edges": [{"from": "a", "to": "nowhere"}]
}"""


class Asking:
    """A client with plain NATS, and the validator it asks."""

    def __init__(self, app: ServiceApp, nc: Client, settings: BusSettings) -> None:
        self.app = app
        self.nc = nc
        self.js = nc.jetstream()
        self.prefix = settings.prefix

    async def ask(
        self, payload: bytes | Json, *, tenant: str = "acme", in_header: bool = False
    ) -> Json:
        """Publish a question and wait for its answer."""
        inbox = self.nc.new_inbox()
        answers = await self.nc.subscribe(inbox, max_msgs=1)
        headers = {"Agentflow-Reply-To": inbox} if in_header else None
        if isinstance(payload, dict):
            payload = orjson.dumps(payload if in_header else {**payload, "reply_to": inbox})
        await self.js.publish(f"{self.prefix}.commands.{tenant}.validate", payload, headers=headers)
        found: Json = orjson.loads((await answers.next_msg(timeout=60)).data)
        return found

    async def left(self, stream: str) -> int:
        return (await self.js.stream_info(f"{self.prefix}_{stream}")).state.messages

    async def holds(self, stream: str, messages: int) -> bool:
        return await self.left(stream) == messages


@asynccontextmanager
async def asking(nats_url: str, **settings: Any) -> AsyncIterator[Asking]:
    bus_settings = BusSettings(nats_url=nats_url, prefix=f"t{uuid.uuid4().hex[:8]}")
    nc = await nats.connect(nats_url)
    await topology.apply(nc.jetstream(), bus_settings)
    app = create_app(ValidatorSettings(**settings), bus_settings)
    await app.start()
    made = Asking(app, nc, bus_settings)
    try:
        yield made
    finally:
        await made.app.stop()
        await nc.close()


@pytest.mark.parametrize("in_header", [False, True])
async def test_a_valid_spec_is_valid_and_shows_its_plan(nats_url: str, in_header: bool) -> None:
    async with asking(nats_url) as on:
        report = await on.ask({"workflow": GOOD, "plan": True}, in_header=in_header)
        assert (report["kind"], report["valid"], report["errors"]) == ("validation", True, [])
        assert report["plan"]["order"] == ["a", "b"]
        await eventually(partial(on.holds, "COMMANDS", 0))


async def test_without_being_asked_for_there_is_no_plan(nats_url: str) -> None:
    async with asking(nats_url) as on:
        assert "plan" not in await on.ask({"workflow": GOOD})


async def test_every_error_comes_at_once_with_its_place(nats_url: str) -> None:
    async with asking(nats_url) as on:
        report = await on.ask({"text": BAD})
        assert report["valid"] is False
        places = {(e["code"], e["line"]) for e in report["errors"]}
        assert {("missing_start_node", 2), ("unknown_edge_target", 4)} <= places
        assert len(report["errors"]) >= 4
        assert all(e["pointer"] and e["message"] for e in report["errors"])


async def test_text_that_is_no_json_is_a_report_too(nats_url: str) -> None:
    async with asking(nats_url) as on:
        for text in ('{"nodes": [', '{"x": NaN}', "[" * 5000, '{"x": "\\ud800"}'):
            report = await on.ask({"text": text})
            assert report["valid"] is False
            assert report["errors"][0]["code"] == "malformed_json"


async def test_one_node_is_checked_alone(nats_url: str) -> None:
    async with asking(nats_url) as on:
        spec = {**GOOD, "nodes": [*GOOD["nodes"], {"id": "c", "type": "nonsense"}]}
        assert (await on.ask({"workflow": spec, "node": "b"}))["valid"] is True
        assert (await on.ask({"workflow": spec, "node": "c"}))["valid"] is False
        unknown = await on.ask({"workflow": spec, "node": "d"})
        assert unknown["errors"][0]["code"] == "unknown_node"


async def test_stored_sources_count_and_are_looked_up_each_time(nats_url: str) -> None:
    async with asking(nats_url) as on:
        node = {"id": "a", "type": "llm", "metadata": {"source_id": "mine", "prompt": "hi"}}
        spec = {"start_node": "a", "nodes": [node], "edges": []}
        before = await on.ask({"workflow": spec})
        assert [e["code"] for e in before["errors"]] == ["unknown_source"]
        source = {"id": "mine", "kind": "llm", "config": {"provider": "demo", "model": "demo"}}
        await Definitions(on.app.bus).put_source("acme", "mine", source)
        assert (await on.ask({"workflow": spec}))["errors"] == []
        assert (await on.ask({"workflow": spec}, tenant="rival"))["valid"] is False


async def test_the_same_question_is_answered_from_memory(nats_url: str) -> None:
    async with asking(nats_url) as on:
        first = await on.ask({"workflow": GOOD, "plan": True})
        assert await on.ask({"workflow": GOOD, "plan": True}) == first
        metrics = on.app.metrics.render().decode()
        assert 'agentflow_validator_reports_total{verdict="valid"} 2.0' in metrics
        # The plan is part of the question: memory must not answer another one.
        assert "plan" not in await on.ask({"workflow": GOOD})


HOSTILE = {
    "no json": b"hello",
    "cut off": b'{"workflow": ',
    "array": b"[]",
    "NaN": b'{"workflow": {"x": NaN}}',
    "deep": b"[" * 100_000,
    "NUL": b'{"text": "a\\u0000"}',
    "wrong types": b'{"workflow": {}, "plan": "maybe"}',
    "another tenant": b'{"workflow": {}, "tenant": "rival"}',
    "not UTF-8": b"\xff\xfe\x00",
    "empty": b"",
}


async def test_what_nobody_can_read_is_told_and_put_aside_at_once(nats_url: str) -> None:
    async with asking(nats_url) as on:
        for number, (name, payload) in enumerate(HOSTILE.items(), 1):
            problem = await on.ask(payload, in_header=True)
            assert problem["status"] in (400, 422), name
            assert problem["code"] in ("malformed_json", "bad_command"), name
            await eventually(partial(on.holds, "DEAD", number))
        await eventually(partial(on.holds, "COMMANDS", 0))
        last = await on.js.get_last_msg(f"{on.prefix}_DEAD", f"{on.prefix}.dead.acme.>")
        letter = orjson.loads(last.data or b"")
        assert base64.b64decode(letter["payload_base64"]) == b""
        assert letter["deliveries"] == 1
        assert (await on.ask({"workflow": GOOD}))["valid"] is True


async def test_a_bug_of_ours_is_told_and_put_aside_and_never_loops(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def broken(*_: object) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("a bug")

    async with asking(nats_url) as on:
        monkeypatch.setattr("agentflow.validator.reports.check", broken)
        problem = await on.ask({"workflow": GOOD})
        assert (problem["status"], problem["code"]) == (500, "internal_error")
        await eventually(partial(on.holds, "DEAD", 1))
        await eventually(partial(on.holds, "COMMANDS", 0))
        assert calls == 1


async def test_nobody_can_make_it_write_to_a_stream(nats_url: str) -> None:
    async with asking(nats_url) as on:
        forged = f"{on.prefix}.events.acme.exec_1.execution.completed"
        for subject in (forged, "$JS.API.STREAM.DELETE.x", "a.*", "a b", "a..b"):
            body = orjson.dumps({"workflow": GOOD, "reply_to": subject})
            await on.js.publish(f"{on.prefix}.commands.acme.validate", body)
        await eventually(partial(on.holds, "COMMANDS", 0))
        assert await on.left("EVENTS") == 0


async def test_a_question_without_a_reply_subject_is_dropped(nats_url: str) -> None:
    async with asking(nats_url) as on:
        await on.js.publish(f"{on.prefix}.commands.acme.validate", orjson.dumps({"workflow": GOOD}))
        await eventually(partial(on.holds, "COMMANDS", 0))
        assert await on.left("DEAD") == 0


async def test_a_report_too_large_for_the_bus_is_cut_and_still_comes(nats_url: str) -> None:
    async with asking(nats_url, max_issues=200_000) as on:
        nodes = [{"id": f"n{i}", "type": "x" * 90} for i in range(30_000)]
        spec = {"start_node": "n0", "nodes": nodes, "edges": []}
        try:
            report = await on.ask({"workflow": spec})
        except NoAnswer:
            pytest.fail("no answer at all")
        assert report["valid"] is False
        assert report["errors"]


async def test_a_validator_that_was_away_answers_when_it_is_back(nats_url: str) -> None:
    async with asking(nats_url) as on:
        await on.app.stop()
        task = asyncio.create_task(on.ask({"workflow": GOOD}))
        await asyncio.sleep(0.1)
        assert await on.left("COMMANDS") == 1
        bus_settings = on.app.bus.settings
        on.app = create_app(ValidatorSettings(), bus_settings)
        await on.app.start()
        assert (await task)["valid"] is True
