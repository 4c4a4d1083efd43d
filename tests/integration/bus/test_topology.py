"""The topology is declared once: applied, checked, and every drift is named."""

import asyncio
import dataclasses

import nats
import pytest
from nats.js.api import ConsumerConfig, DiscardPolicy, RetentionPolicy
from nats.js.errors import NoStreamResponseError

from agentflow.bus import topology
from agentflow.bus.broker import make_broker
from agentflow.bus.bus import Bus
from agentflow.bus.errors import BusDown, TopologyError
from agentflow.bus.service import make_app
from agentflow.bus.settings import BusSettings
from agentflow.telemetry.settings import TelemetrySettings
from tests.support.bus_rig import command, rig
from tests.support.servers import free_port
from tests.support.stage import stage


async def test_apply_makes_all_that_status_and_check_want(nats_url: str) -> None:
    settings = BusSettings(nats_url=nats_url, prefix="fresh")
    nc = await nats.connect(nats_url)
    js = nc.jetstream()
    before = await topology.status(js, settings)
    assert {finding.state for finding in before} == {"missing"}
    with pytest.raises(TopologyError, match="missing") as refused:
        await topology.check(nc, settings)
    assert "agentflow bus apply" in (refused.value.hint or "")

    done = await topology.apply(js, settings)
    assert {finding.state for finding in done} == {"missing"}

    assert all(finding.ok for finding in await topology.status(js, settings))
    assert all(finding.ok for finding in await topology.apply(js, settings))
    await topology.check(nc, settings)
    await nc.close()


async def test_the_streams_keep_the_promises_of_the_design(nats_url: str) -> None:
    async with rig(nats_url, prefix="p") as on:
        configs = {
            name: (await on.js.stream_info(f"p_{name}")).config
            for name in ("COMMANDS", "TASKS", "EVENTS", "AUDIT", "DEAD")
        }
        for config in configs.values():
            assert config.discard == DiscardPolicy.NEW  # nothing is ever evicted
            assert (config.max_bytes or 0) > 0
        assert configs["COMMANDS"].retention == RetentionPolicy.WORK_QUEUE
        assert configs["TASKS"].retention == RetentionPolicy.WORK_QUEUE
        assert configs["TASKS"].max_msgs_per_subject == 1
        assert configs["TASKS"].discard_new_per_subject
        assert configs["EVENTS"].retention == RetentionPolicy.LIMITS
        assert configs["EVENTS"].max_age == 7 * 86400
        assert configs["EVENTS"].republish is not None
        assert configs["EVENTS"].republish.dest == "p.live.>"


async def test_two_installations_share_a_server_and_do_not_meet(nats_url: str) -> None:
    async with rig(nats_url, prefix="one") as one, rig(nats_url, prefix="two") as two:
        await (await one.bus()).publish(command(1))
        assert (await one.count("COMMANDS"), await two.count("COMMANDS")) == (1, 0)


@pytest.mark.parametrize(
    ("stream", "change", "word"),
    [
        ("EVENTS", {"republish": None}, "republish"),
        ("COMMANDS", {"subjects": ["p.commands.*.execute"]}, "subjects"),
        ("COMMANDS", {"discard": DiscardPolicy.OLD}, "discard"),
        ("TASKS", {"discard_new_per_subject": False}, "discard_new_per_subject"),
    ],
)
async def test_a_stream_somebody_changed_is_named_and_put_right(
    nats_url: str, stream: str, change: dict[str, object], word: str
) -> None:
    async with rig(nats_url, prefix="p") as on:
        config = (await on.js.stream_info(f"p_{stream}")).config
        changed = dataclasses.replace(config, **change)  # type: ignore[arg-type] # by name
        if "subjects" in change:
            for durable in ("validator", "canceller"):
                await on.js.delete_consumer("p_COMMANDS", durable)
        await on.js.update_stream(changed)
        with pytest.raises(TopologyError) as refused:
            await on.bus()
        assert f"p_{stream}: differs" in refused.value.message
        assert word in refused.value.message
        await topology.apply(on.js, on.settings)
        assert all(finding.ok for finding in await topology.status(on.js, on.settings))
        await on.bus()


async def test_a_consumer_somebody_changed_or_deleted_is_named_and_put_right(
    nats_url: str,
) -> None:
    async with rig(nats_url, prefix="p") as on:
        await on.js.delete_consumer("p_TASKS", "pool_llm")
        info = await on.js.consumer_info("p_COMMANDS", "executor")
        assert isinstance(info.config, ConsumerConfig)
        await on.js.add_consumer("p_COMMANDS", dataclasses.replace(info.config, ack_wait=99))
        wrong = [f for f in await topology.status(on.js, on.settings) if not f.ok]
        assert [(f.name, f.state) for f in wrong] == [
            ("p_COMMANDS/executor", "differs"),
            ("p_TASKS/pool_llm", "missing"),
        ]
        assert "ack_wait" in wrong[0].detail
        await topology.apply(on.js, on.settings)
        assert all(finding.ok for finding in await topology.status(on.js, on.settings))


async def test_a_missing_bucket_is_named(nats_url: str) -> None:
    async with rig(nats_url, prefix="p") as on:
        await on.js.delete_object_store("p_values")
        with pytest.raises(TopologyError, match="OBJ_p_values: missing"):
            await on.bus()


async def test_applying_again_keeps_what_the_streams_hold(nats_url: str) -> None:
    async with rig(nats_url) as on:
        await (await on.bus()).publish(command(1))
        await topology.apply(on.js, on.settings)
        assert await on.count("COMMANDS") == 1


async def test_a_service_refuses_to_start_without_its_topology_and_says_what_to_do(
    nats_url: str,
) -> None:
    settings = BusSettings(nats_url=nats_url, prefix="bare")
    broker = make_broker(settings, "x")
    app = make_app(Bus(broker, settings), service="x", telemetry=TelemetrySettings())
    with pytest.raises(TopologyError, match="bare_COMMANDS: missing"):
        await app.start()
    broker.hooks.stopping = True
    await broker.stop()


async def test_without_a_server_the_address_is_named() -> None:
    settings = BusSettings(nats_url=f"nats://127.0.0.1:{free_port()}", connect_timeout=1)
    broker = make_broker(settings, "x")
    bus = Bus(broker, settings)
    with pytest.raises(BusDown, match=r"nats://127\.0\.0\.1:\d+") as refused:
        async with asyncio.timeout(20):
            await bus.open()
    assert "NATS_URL" in (refused.value.hint or "")


async def test_an_order_nobody_takes_is_refused_at_once(nats_url: str) -> None:
    async with stage(nats_url) as on:
        with pytest.raises(NoStreamResponseError):
            await on.publish(f"{on.settings.prefix}.commands.acme.dance", b"{}")
        await on.publish(f"{on.settings.prefix}.commands.acme.execute", b"{}")
