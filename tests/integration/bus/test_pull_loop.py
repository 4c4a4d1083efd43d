"""The one consumer loop: free slots, leases, delayed naks, dead letters, a clean stop."""

import asyncio
import base64
from collections import Counter

import pytest

from agentflow.bus import pull_loop
from agentflow.bus.consumer import Delivery
from tests.support.bus_rig import Rig, command, number_of, rig
from tests.support.servers import NatsServer
from tests.support.waiting import eventually


async def test_no_more_is_fetched_than_there_are_free_slots(nats_url: str) -> None:
    running, most, most_fetched = 0, 0, 0

    async with rig(nats_url) as on:

        async def on_execute(delivery: Delivery) -> None:
            nonlocal running, most, most_fetched
            running += 1
            most = max(most, running)
            if number_of(delivery) % 10 == 0:
                most_fetched = max(most_fetched, await on.pending_acks())
            await asyncio.sleep(0.002)
            running -= 1
            await delivery.ack()

        bus = await on.bus()
        await asyncio.gather(*[await bus.send(command(n)) for n in range(200)])
        await on.consumer(on_execute, slots=4)
        await eventually(lambda: _is_empty(on))
        assert most == 4
        # An ack on its way still counts on the server, so a few more than the slots.
        assert 4 <= most_fetched <= 8


async def _is_empty(on: Rig) -> bool:
    return await on.count("COMMANDS") == 0


async def test_a_slow_message_does_not_hold_up_the_others(nats_url: str) -> None:
    slow = asyncio.Event()
    done: list[int] = []

    async def on_execute(delivery: Delivery) -> None:
        if number_of(delivery) == 0:
            await slow.wait()
        done.append(number_of(delivery))
        await delivery.ack()

    async with rig(nats_url) as on:
        bus = await on.bus()
        await on.consumer(on_execute, slots=2)
        for number in range(20):
            await bus.publish(command(number))
        await eventually(lambda: len(done) == 19)
        assert 0 not in done
        slow.set()
        await eventually(lambda: len(done) == 20)


async def _deliveries_of_a_long_run(nats_url: str) -> Counter[int]:
    """Handle one message for three times its lease; how often was it delivered?"""
    delivered: Counter[int] = Counter()

    async def on_execute(delivery: Delivery) -> None:
        delivered[number_of(delivery)] += 1
        await asyncio.sleep(3.3)
        await delivery.ack()

    async with rig(nats_url, command_ack_wait=1.0) as on:
        bus = await on.bus()
        await on.consumer(on_execute, slots=4, ack_wait=1.0)
        await bus.publish(command(7))
        await eventually(lambda: _is_empty(on))
    return delivered


async def test_a_run_longer_than_its_lease_happens_once(nats_url: str) -> None:
    assert await _deliveries_of_a_long_run(nats_url) == {7: 1}


async def test_control_without_renewal_the_same_run_happens_again(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: pull_loop.PullLoop) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(pull_loop.PullLoop, "_keep_leases", never)
    assert (await _deliveries_of_a_long_run(nats_url))[7] > 1


async def test_a_message_whose_handler_raises_comes_back_later_and_not_in_a_hot_loop(
    nats_url: str,
) -> None:
    deliveries: list[int] = []
    others: list[int] = []

    async def on_execute(delivery: Delivery) -> None:
        if number_of(delivery) == 0:
            deliveries.append(delivery.deliveries)
            raise RuntimeError("a bug")
        others.append(number_of(delivery))
        await delivery.ack()

    async with rig(nats_url) as on:
        bus = await on.bus()
        await on.consumer(on_execute)
        await bus.publish(command(0))
        await bus.publish(command(1))
        await eventually(lambda: len(deliveries) >= 2)
        assert others == [1]
        await asyncio.sleep(1.0)
        # With 0.5 s doubling, hardly more than three fit; without a delay it is thousands.
        assert deliveries[:2] == [1, 2]
        assert len(deliveries) <= 4


async def test_after_ten_deliveries_it_is_put_aside_with_all_that_is_known(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_loop, "backoff", lambda _: 0.01)
    deliveries: list[int] = []

    async def on_execute(delivery: Delivery) -> None:
        deliveries.append(delivery.deliveries)
        raise RuntimeError("a bug")

    async with rig(nats_url) as on:
        bus = await on.bus()
        await on.consumer(on_execute)
        sent = command(5)
        await bus.publish(sent, msg_id="m5")
        await eventually(lambda: _is_empty(on))
        (letter,) = await on.dead_letters()
        assert deliveries == list(range(1, 11))
        assert letter.code == "handler_failed"
        assert letter.reason == "RuntimeError: a bug"
        assert letter.deliveries == 10
        assert letter.tenant == "acme"
        assert letter.origin_stream.endswith("COMMANDS")
        assert letter.origin_subject == sent.subject(on.settings.prefix)
        assert letter.origin_sequence == 1
        assert letter.headers["Nats-Msg-Id"] == "m5"
        assert base64.b64decode(letter.payload_base64) == sent.encode()


async def test_a_dead_letter_takes_the_message_out_of_the_queue_at_once(nats_url: str) -> None:
    async def on_execute(delivery: Delivery) -> None:
        await delivery.dead_letter("malformed_json", "no JSON at byte 0")

    async with rig(nats_url) as on:
        await on.consumer(on_execute)
        subject = f"{on.settings.prefix}.commands.evil.execute"
        await on.js.publish(subject, b"\xff" * 1_000_000)
        await eventually(lambda: _is_empty(on))
        (letter,) = await on.dead_letters()
        assert (letter.code, letter.tenant, letter.deliveries) == ("malformed_json", "evil", 1)
        assert "cut to" in letter.reason
        assert set(base64.b64decode(letter.payload_base64)) == {0xFF}


async def test_while_dead_letters_cannot_be_stored_the_message_stays(
    nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pull_loop, "backoff", lambda _: 0.05)

    async def on_execute(delivery: Delivery) -> None:
        await delivery.dead_letter("x", "y")

    async with rig(nats_url) as on:
        dead = f"{on.settings.prefix}_DEAD"
        config = (await on.js.stream_info(dead)).config
        await on.consumer(on_execute)
        bus = await on.bus()
        await on.js.delete_stream(dead)
        await bus.publish(command(1))
        await asyncio.sleep(0.5)
        assert await on.count("COMMANDS") == 1
        await on.js.add_stream(config)
        await eventually(lambda: _is_empty(on), timeout=30)
        assert len(await on.dead_letters()) == 1


async def test_a_handler_that_forgets_to_settle_gets_the_message_again_after_a_while(
    nats_url: str,
) -> None:
    seen: list[int] = []

    async def on_execute(delivery: Delivery) -> None:
        seen.append(delivery.deliveries)
        if delivery.deliveries == 2:
            await delivery.ack()

    async with rig(nats_url) as on:
        bus = await on.bus()
        await on.consumer(on_execute)
        await bus.publish(command(1))
        await eventually(lambda: _is_empty(on))
        assert seen == [1, 2]


async def test_a_delayed_nak_is_delayed_and_settles_once(nats_url: str) -> None:
    loop = asyncio.get_running_loop()
    seen: list[float] = []

    async def on_execute(delivery: Delivery) -> None:
        seen.append(loop.time())
        if delivery.deliveries == 1:
            await delivery.nak(delay=0.5)
            await delivery.ack()  # too late: it has been handed back already
        else:
            await delivery.ack()

    async with rig(nats_url) as on:
        bus = await on.bus()
        await on.consumer(on_execute)
        await bus.publish(command(1))
        await eventually(lambda: _is_empty(on))
        assert len(seen) == 2
        assert seen[1] - seen[0] >= 0.45


async def test_two_consumers_share_the_work_and_each_message_runs_once(nats_url: str) -> None:
    runs: Counter[int] = Counter()
    by: Counter[str] = Counter()

    async with rig(nats_url) as on:
        for name in ("one", "two"):

            async def on_execute(delivery: Delivery, name: str = name) -> None:
                runs[number_of(delivery)] += 1
                by[name] += 1
                await asyncio.sleep(0.005)
                await delivery.ack()

            await on.consumer(on_execute, slots=3, ack_wait=30)
        bus = await on.bus()
        await asyncio.gather(*[await bus.send(command(n)) for n in range(120)])
        await eventually(lambda: _is_empty(on))
        assert runs == dict.fromkeys(range(120), 1)
        assert min(by.values()) > 20


async def test_a_clean_stop_finishes_what_it_can_and_hands_the_rest_back(nats_url: str) -> None:
    finished: list[int] = []
    handed_on: list[int] = []
    begun = asyncio.Event()

    async def short_or_long(delivery: Delivery) -> None:
        begun.set()
        await asyncio.sleep(0.2 if number_of(delivery) == 0 else 3600)
        await delivery.ack()
        finished.append(number_of(delivery))

    async def takes_over(delivery: Delivery) -> None:
        handed_on.append(number_of(delivery))
        await delivery.ack()

    # The lease of 60 s shows that the message is handed back, not left to run out.
    async with rig(nats_url, command_ack_wait=60.0) as on:
        bus = await on.bus()
        for number in range(3):
            await bus.publish(command(number))
        stopping = await on.consumer(short_or_long, slots=2, ack_wait=60)
        await begun.wait()
        await stopping.drain(grace=1.0)
        assert finished == [0]
        await bus.publish(command(3))  # after the stop: no open request may swallow it
        await on.consumer(takes_over, ack_wait=60)
        await eventually(lambda: _is_empty(on))
        assert sorted(handed_on) == [1, 2, 3]


async def test_the_loop_goes_on_after_the_broker_was_killed(nats_server: NatsServer) -> None:
    runs: Counter[int] = Counter()

    async def on_execute(delivery: Delivery) -> None:
        await asyncio.sleep(0.01)
        runs[number_of(delivery)] += 1
        await delivery.ack()

    async with rig(nats_server.url) as on:
        bus = await on.bus()
        await on.consumer(on_execute)
        for number in range(30):
            await bus.publish(command(number))
        nats_server.kill()
        await asyncio.sleep(0.5)
        nats_server.start()
        for number in range(30, 60):
            await bus.publish(command(number))
        await eventually(lambda: _is_empty(on), timeout=30)
        assert set(runs) == set(range(60))


async def test_a_frozen_broker_is_noticed_and_the_loop_goes_on(nats_server: NatsServer) -> None:
    runs: list[int] = []

    async def on_execute(delivery: Delivery) -> None:
        runs.append(number_of(delivery))
        await delivery.ack()

    async with rig(nats_server.url) as on:
        bus = await on.bus()
        await on.consumer(on_execute)
        nats_server.pause()
        await asyncio.sleep(2)
        nats_server.resume()
        await bus.publish(command(1))
        await eventually(lambda: runs == [1], timeout=30)


async def test_a_deleted_consumer_does_not_spin(nats_url: str) -> None:
    """What a hot loop costs is counted in requests to the server, not in time."""

    async def on_execute(delivery: Delivery) -> None:
        await delivery.ack()

    async with rig(nats_url) as on:
        await on.consumer(on_execute)
        await on.js.delete_consumer(f"{on.settings.prefix}_COMMANDS", "executor")
        asked = 0

        async def count(_: object) -> None:
            nonlocal asked
            asked += 1

        await on.nc.subscribe("$JS.API.CONSUMER.MSG.NEXT.>", cb=count)
        await on.nc.flush()
        await asyncio.sleep(2.5)
        assert asked <= 6
