"""The log, the live feed, large values and definitions: what is written can be read, by whom."""

import asyncio

import pytest

from agentflow.bus.definitions import Definitions
from agentflow.bus.live import LiveSubscription
from agentflow.bus.log_reader import StoredMessage
from agentflow.bus.values import ValueNotFound, ValueStore, find_refs
from agentflow.contracts.errors import PayloadTooLarge
from agentflow.contracts.events import NodeCompleted
from agentflow.contracts.state import INLINE_LIMIT_BYTES, REF_PREFIX, is_value_ref
from tests.support.bus_rig import completed, rig
from tests.support.waiting import eventually


async def test_a_log_is_read_in_order_and_reading_ends(nats_url: str) -> None:
    async with rig(nats_url) as on:
        bus = await on.bus()
        for number in range(50):
            await bus.publish(completed(f"e{number % 2}", f"n{number}"))
        read = [message async for message in bus.read("acme", "e0")]
        assert [NodeCompleted.decode(m.data).node_id for m in read] == [
            f"n{number}" for number in range(0, 50, 2)
        ]
        assert [m.sequence for m in read] == list(range(1, 51, 2))
        assert read[0].subject == f"{on.settings.prefix}.events.acme.e0.node.completed"
        assert [m.sequence async for m in bus.read("acme", "e0", after=45)] == [47, 49]
        assert [m async for m in bus.read("acme", "e0", after=49)] == []
        assert [m async for m in bus.read("acme", "nothing")] == []
        assert [m async for m in bus.read("other", "e0")] == []


async def test_following_gives_what_was_and_then_what_comes(nats_url: str) -> None:
    async with rig(nats_url) as on:
        bus = await on.bus()
        await bus.publish(completed("e", "before"))
        seen: list[str] = []

        async def follow() -> None:
            async for message in bus.follow("acme", "e"):
                seen.append(NodeCompleted.decode(message.data).node_id)  # noqa: PERF401 - endless

        following = asyncio.create_task(follow())
        await eventually(lambda: seen == ["before"])
        await bus.publish(completed("other", "not this"))
        await bus.publish(completed("e", "after"))
        await eventually(lambda: seen == ["before", "after"])
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_the_live_feed_tells_what_is_stored_with_its_sequence(nats_url: str) -> None:
    async with rig(nats_url) as on:
        bus = await on.bus()
        heard: list[StoredMessage] = []
        pattern = NodeCompleted.pattern(on.settings.prefix, tenant="acme", execution_id="e")
        subscription: LiveSubscription = await bus.live(pattern, heard.append)
        await bus.nc.flush()
        await bus.publish(completed("x", "n0"))
        sequence = await bus.publish(completed("e", "n1"))
        await eventually(lambda: heard)
        assert [m.sequence for m in heard] == [sequence]
        assert heard[0].subject == f"{on.settings.prefix}.events.acme.e.node.completed"
        assert NodeCompleted.decode(heard[0].data).node_id == "n1"
        await subscription.stop()
        await bus.publish(completed("e", "n2"))
        await bus.nc.flush()
        assert len(heard) == 1


async def test_large_values_go_by_reference_and_small_ones_stay(nats_url: str) -> None:
    async with rig(nats_url) as on:
        store = ValueStore(await on.bus())
        values = {
            "small": {"a": None},
            "large": "x" * 100_000,
            "object": {"rows": ["y" * 10_000] * 20},
            "edge": "z" * (INLINE_LIMIT_BYTES - 2),
            "over": "z" * (INLINE_LIMIT_BYTES - 1),
            "tokens_used": 5,
        }
        kept = await store.offload(values, "acme", "e1")
        by_reference = {key for key, value in kept.items() if is_value_ref(value)}
        assert by_reference == {"large", "object", "over"}
        assert kept["object"]["type"] == "object"
        assert kept["large"]["size"] == 100_002
        assert await store.resolve(kept, "acme") == values
        assert await store.resolve({"deep": [kept["large"], 1]}, "acme") == {
            "deep": [values["large"], 1]
        }


async def test_the_same_value_twice_is_one_object(nats_url: str) -> None:
    async with rig(nats_url) as on:
        store = ValueStore(await on.bus())
        first = await store.put(["x" * 70_000], "acme", "e1")
        assert await store.put(["x" * 70_000], "acme", "e1") == first
        assert await store.get(first, "acme") == ["x" * 70_000]


async def test_a_reference_of_another_tenant_is_not_found(nats_url: str) -> None:
    """Users can write any JSON into a state, references included."""
    async with rig(nats_url) as on:
        store = ValueStore(await on.bus())
        ref = await store.put("secret" * 20_000, "acme", "e1")
        with pytest.raises(ValueNotFound):
            await store.get(ref, "evil")
        for forged in ("evil/../acme/e1/x", "acme", "", "acme/e1/none"):
            name = REF_PREFIX + forged
            with pytest.raises(ValueNotFound):
                await store.get({"$ref": name, "size": 1, "type": "string"}, "evil")
        with pytest.raises(ValueNotFound):
            await store.get(
                {"$ref": REF_PREFIX + "acme/e1/none", "size": 1, "type": "string"}, "acme"
            )


async def test_thirty_megabytes_pass_and_more_than_the_limit_is_too_large(nats_url: str) -> None:
    async with rig(nats_url) as on:
        store = ValueStore(await on.bus())
        big = "x" * (30 * 1024 * 1024)
        ref = await store.put(big, "acme", "e1")
        assert await store.get(ref, "acme") == big
        with pytest.raises(PayloadTooLarge, match="at most"):
            await store.put("x" * (33 * 1024 * 1024), "acme", "e1")


def test_users_own_dollar_refs_are_data() -> None:
    schema = {"$ref": "#/definitions/a", "size": 1, "type": "string"}
    assert find_refs({"schema": schema, "list": [schema, {"$ref": 7}]}) == []


async def test_definitions_keep_versions_and_know_the_latest(nats_url: str) -> None:
    async with rig(nats_url) as on:
        definitions = Definitions(await on.bus())
        for version in (1, 2):
            await definitions.put_workflow("acme", "wf_1", version, {"version": version})
        assert await definitions.get_workflow("acme", "wf_1") == ({"version": 2}, 2)
        assert await definitions.get_workflow("acme", "wf_1", 1) == ({"version": 1}, 1)
        assert await definitions.get_workflow("acme", "wf_1", 3) is None
        assert await definitions.get_workflow("other", "wf_1") is None
        await definitions.delete_workflow("acme", "wf_1")
        assert await definitions.get_workflow("acme", "wf_1") is None
        assert await definitions.get_workflow("acme", "wf_1", 2) == ({"version": 2}, 2)


async def test_sources_are_kept_by_tenant(nats_url: str) -> None:
    async with rig(nats_url) as on:
        definitions = Definitions(await on.bus())
        await definitions.put_source("acme", "gpt", {"kind": "llm"})
        assert await definitions.get_source("acme", "gpt") == {"kind": "llm"}
        assert await definitions.get_source("other", "gpt") is None
        await definitions.delete_source("acme", "gpt")
        assert await definitions.get_source("acme", "gpt") is None
