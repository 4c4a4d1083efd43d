"""A publish ends in one of three: stored at a sequence, refused for a reason, unknown."""

import asyncio
from typing import Any

import pytest
from nats.errors import ConnectionClosedError, ConnectionDrainingError, MaxPayloadError

from agentflow.bus import publisher
from agentflow.bus.errors import AlreadyOutstanding, BusDown, StreamFull, WrongLastSequence
from agentflow.bus.publisher import Expect
from agentflow.contracts.errors import OutcomeUnknown, PayloadTooLarge
from tests.support.bus_rig import command, completed, rig, task
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer
from tests.support.waiting import eventually


async def test_a_publish_gives_the_sequence_it_is_stored_at(nats_url: str) -> None:
    async with rig(nats_url) as on:
        bus = await on.bus()
        assert [await bus.publish(command(n)) for n in range(3)] == [1, 2, 3]
        stored = await on.js.get_msg(f"{on.settings.prefix}_COMMANDS", 2)
        assert stored.subject == f"{on.settings.prefix}.commands.acme.execute"
        assert (stored.headers or {})["Agentflow-Schema"] == "ExecuteWorkflow/1"
        assert (stored.headers or {})["Nats-Msg-Id"]


async def test_facts_carry_the_cloudevents_names(nats_url: str) -> None:
    async with rig(nats_url) as on:
        bus = await on.bus()
        await bus.publish(completed("e1", "n1"), msg_id="e1.n1")
        stored = await on.js.get_msg(f"{on.settings.prefix}_EVENTS", 1)
        headers = stored.headers or {}
        assert headers["ce-type"] == "io.agentflow.NodeCompleted"
        assert headers["ce-specversion"] == "1.0"
        assert headers["ce-id"] == "e1.n1"


async def test_the_same_message_id_is_stored_once(nats_url: str) -> None:
    async with rig(nats_url) as on:
        bus = await on.bus()
        first = await bus.publish(command(), msg_id="m1")
        assert await bus.publish(command(), msg_id="m1") == first
        assert await on.count("COMMANDS") == 1


async def test_pipelined_publishes_are_all_answered(nats_url: str) -> None:
    async with rig(nats_url) as on:
        bus = await on.bus()
        futures = [await bus.send(command(n)) for n in range(500)]
        assert await asyncio.gather(*futures) == list(range(1, 501))
        assert bus.publisher.unanswered == 0


@pytest.mark.parametrize("over_by", ["the payload", "its headers"])
async def test_what_the_server_would_not_take_is_refused_before_it_is_sent(
    nats_url: str, over_by: str
) -> None:
    """The server answers such a message by closing the connection, the neighbours' too."""
    async with rig(nats_url) as on:
        bus = await on.bus()
        limit = bus.nc.max_payload
        size, headers = (limit, None)
        if over_by == "its headers":
            size, headers = (limit - 6000, {"tracestate": "v=" + "x" * 8000})
        neighbour = await bus.send(command(1))
        with pytest.raises(PayloadTooLarge, match=r"bytes"):
            await bus.publish(command(2, size=size), headers=headers)
        assert await neighbour == 1
        assert await bus.publish(command(3)) == 2
        assert bus.nc.stats["reconnects"] == 0


async def test_a_fence_lets_one_writer_through(nats_url: str) -> None:
    async with rig(nats_url) as on:
        one, two = await on.bus(), await on.bus()
        subjects = f"{on.settings.prefix}.events.acme.e1.>"
        others = f"{on.settings.prefix}.events.acme.e2.>"
        expect = Expect(subjects, 0)
        outcomes = await asyncio.gather(
            one.publish(completed("e1", "n1"), expect=expect),
            two.publish(completed("e1", "n2"), expect=expect),
            return_exceptions=True,
        )
        assert {type(outcome) for outcome in outcomes} == {int, WrongLastSequence}
        assert await on.count("EVENTS") == 1
        await one.publish(completed("e1", "n3"), expect=Expect(subjects, 1))
        await one.publish(completed("e2", "n3"), expect=Expect(others, 0))


async def test_a_second_task_for_the_same_node_is_already_outstanding(nats_url: str) -> None:
    """The server refuses it for ever, not only within the dedup window: hence other ids."""
    async with rig(nats_url) as on:
        bus = await on.bus()
        await bus.publish(task("a"), msg_id="1")
        with pytest.raises(AlreadyOutstanding):
            await bus.publish(task("a"), msg_id="2")
        await bus.publish(task("b"), msg_id="3")
        assert await on.count("TASKS") == 2


async def test_a_full_stream_refuses_new_work_and_evicts_nothing(nats_url: str) -> None:
    async with rig(nats_url, commands_max_mib=1) as on:
        bus = await on.bus()
        with pytest.raises(StreamFull):  # noqa: PT012 - which of the publishes is not the point
            for stored in range(100):
                await bus.publish(command(stored, size=100_000))
        assert 5 <= stored <= 10  # messages before the refused one
        assert await on.count("COMMANDS") == stored
        first = await on.js.get_msg(f"{on.settings.prefix}_COMMANDS", 1)
        assert b'"number":0' in (first.data or b"")
        await bus.publish(completed("e1", "n1"))  # running executions can still finish
        await on.js.purge_stream(f"{on.settings.prefix}_COMMANDS")
        await bus.publish(command(1))


async def test_a_message_sent_again_for_want_of_an_answer_is_stored_once(
    nats_server: NatsServer,
) -> None:
    async with rig(nats_server.url) as on:
        bus = await on.bus()
        nats_server.pause()
        plain = await bus.send(command(1))
        fenced = await bus.send(
            completed("e1", "n1"), expect=Expect(f"{on.settings.prefix}.events.acme.e1.>", 0)
        )
        pending = list(bus.publisher._pending.values())
        await eventually(lambda: all(message.sends >= 2 for message in pending), timeout=20)
        nats_server.resume()
        assert await plain == 1
        assert await fenced == 1
        assert await on.count("COMMANDS") == 1
        assert await on.count("EVENTS") == 1


async def test_what_is_sent_while_the_broker_is_down_is_stored_once_when_it_is_back(
    nats_server: NatsServer,
) -> None:
    async with rig(nats_server.url) as on:
        bus = await on.bus()
        await bus.publish(command(0))
        nats_server.kill()
        futures = [await bus.send(command(n)) for n in range(1, 21)]
        await asyncio.sleep(0.3)
        nats_server.start()
        async with asyncio.timeout(30):
            sequences = await asyncio.gather(*futures)
        assert sorted(sequences) == list(range(2, 22))
        assert await on.count("COMMANDS") == 21


async def test_silence_to_the_deadline_is_said_to_be_unknown(nats_server: NatsServer) -> None:
    async with rig(nats_server.url) as on:
        bus = await on.bus()
        nats_server.pause()
        with pytest.raises(OutcomeUnknown, match="may or may not be stored"):
            await bus.publish(command(1), timeout=0.6)
        nats_server.resume()
        await eventually(lambda: on.count("COMMANDS"))  # here it was stored after all


async def test_a_lost_connection_loses_and_doubles_nothing(nats_server: NatsServer) -> None:
    async with rig(nats_server.url) as on, Proxy("127.0.0.1", nats_server.port) as proxy:
        bus = await on.bus(f"nats://127.0.0.1:{proxy.port}")
        futures = []
        for number in range(300):
            futures.append(await bus.send(command(number)))
            if number % 100 == 50:
                proxy.cut()
            if number % 10 == 0:
                await asyncio.sleep(0)
        async with asyncio.timeout(60):
            sequences = await asyncio.gather(*futures)
        assert len(set(sequences)) == 300
        assert await on.count("COMMANDS") == 300
        assert proxy.connections > 1


async def test_closing_gives_what_is_unanswered_up_as_unknown(nats_server: NatsServer) -> None:
    async with rig(nats_server.url) as on:
        bus = await on.bus()
        nats_server.pause()
        waiting = await bus.send(command(1))
        await bus.close()
        nats_server.resume()
        with pytest.raises(OutcomeUnknown):
            await waiting


async def test_an_answer_to_nobody_is_no_error(nats_url: str) -> None:
    async with rig(nats_url) as on:
        bus = await on.bus()
        await bus.reply("nobody.listens.here", b"{}")
        await bus.publish(command(1))


async def test_a_broker_that_is_away_does_not_keep_a_service_from_stopping(
    nats_server: NatsServer,
) -> None:
    async with rig(nats_server.url) as on:
        bus = await on.bus()
        nats_server.kill()
        await eventually(lambda: not bus.connected)
        await bus.close()
        await bus.broker.stop()
        await bus.broker.stop()
        nats_server.start()


@pytest.mark.parametrize(
    "error", [MaxPayloadError(), ConnectionDrainingError(), ConnectionClosedError()]
)
async def test_a_message_that_cannot_be_sent_again_does_not_stop_the_others(
    nats_url: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The ticker that repeats and times out serves all; one refusal by the client killed it."""
    monkeypatch.setattr(publisher, "RESEND_AFTER", 0.3)
    async with rig(nats_url) as on:
        bus = await on.bus()
        real = bus.nc.publish

        async def lose(subject: str, payload: bytes = b"", **more: Any) -> None:
            if subject.endswith("execute"):
                return
            await real(subject, payload, **more)

        async def refuse(subject: str, payload: bytes = b"", **more: Any) -> None:
            if subject.endswith("execute"):
                raise error
            await real(subject, payload, **more)

        monkeypatch.setattr(bus.nc, "publish", lose)
        lost = await bus.send(command(1), timeout=5)
        silent = await bus.send(command(2), timeout=0.8, resend=False)
        monkeypatch.setattr(bus.nc, "publish", refuse)
        async with asyncio.timeout(20):
            with pytest.raises((BusDown, PayloadTooLarge)):
                await lost
            with pytest.raises(OutcomeUnknown):
                await silent
        monkeypatch.setattr(bus.nc, "publish", real)
        assert await bus.publish(command(3)) > 0
