"""References are data anybody can write into a state: fakes hurt only who made them."""

import asyncio
from typing import Any

import pytest

from agentflow.bus.values import ValueNotFound, ValueStore
from agentflow.contracts.errors import PayloadTooLarge
from tests.support.stage import TENANT, stage
from tests.support.workflows import remote, workflow

PREFIX = "agentflow-object:"
READS_X = workflow(
    [
        {"id": "in", "type": "input"},
        {
            "id": "show",
            "type": "aggregator",
            "metadata": {"strategy": "select", "source_keys": ["x"], "include_metadata": False},
        },
    ],
    ("in", "show"),
)


@pytest.mark.parametrize("size", ["12", None, [], {}, -1, -(10**15), 1.5, True])
async def test_a_reference_with_an_odd_size_is_plain_data(nats_url: str, size: Any) -> None:
    fake = {"$ref": f"{PREFIX}{TENANT}/e/0", "size": size, "type": "string"}
    async with stage(nats_url) as on:
        await on.executor()
        await on.worker()
        asked = await on.execute(workflow([remote("a")]), {"x": fake})
        result = await asked.result()
        assert result["status"] == "COMPLETED"
        assert result["final_state"]["x"] == fake
        await on.idle()


@pytest.mark.parametrize(
    "name",
    [
        "",
        f"{TENANT}/",
        f"{TENANT}/e/" + "0" * 40,
        f"{TENANT}/../other/e/" + "0" * 40,
        f"{TENANT}/" + "x" * 60_000,
        f"{TENANT}/e/*",
        f"{TENANT}/e/\u00e9 \r\nPUB x 1",
        "other/e/" + "0" * 40,
    ],
)
async def test_a_fake_reference_fails_its_reader_and_nobody_else(nats_url: str, name: str) -> None:
    fake = {"$ref": PREFIX + name, "size": 1, "type": "string"}
    async with stage(nats_url) as on:
        executor = await on.executor()
        before = executor.bus.nc.stats["reconnects"]
        asked = await on.execute(READS_X, {"x": fake})
        good = await on.execute(READS_X, {"x": 1})
        assert (await good.result())["status"] == "COMPLETED"
        result = await asked.result()
        assert result["status"] == "FAILED"
        assert result["error"]["code"] == "value_not_found"
        assert executor.bus.nc.stats["reconnects"] == before
        await on.idle()


async def test_a_value_of_another_tenant_cannot_be_read(nats_url: str) -> None:
    async with stage(nats_url) as on:
        executor = await on.executor()
        secret = await ValueStore(executor.bus).put("s" * 70_000, "other", "exec_1")
        asked = await on.execute(READS_X, {"x": secret})
        result = await asked.result()
        assert result["status"] == "FAILED"
        assert result["error"]["code"] == "value_not_found"
        own = await ValueStore(executor.bus).put("mine" * 20_000, TENANT, "exec_1")
        asked = await on.execute(READS_X, {"x": own})
        assert (await asked.result())["status"] == "COMPLETED"


async def test_one_large_value_named_many_times_does_not_fill_the_memory(nats_url: str) -> None:
    async with stage(nats_url) as on:
        executor = await on.executor()
        store = ValueStore(executor.bus)
        ref = await store.put("x" * 30_000_000, TENANT, "exec_1")
        few = await store.resolve([ref] * 3, TENANT)
        assert [len(value) for value in few] == [30_000_000] * 3
        with pytest.raises(PayloadTooLarge):
            await store.resolve([ref] * 500, TENANT)


async def test_a_value_stored_again_is_not_taken_from_under_its_readers(nats_url: str) -> None:
    async with stage(nats_url) as on:
        executor = await on.executor()
        store = ValueStore(executor.bus)
        value = "v" * 3_000_000
        ref = await store.put(value, TENANT, "exec_1")

        async def read() -> bool:
            return bool(await store.get(ref, TENANT) == value)

        async with asyncio.timeout(60):
            for _ in range(5):
                readers = [asyncio.create_task(read()) for _ in range(4)]
                again = await store.put(value, TENANT, "exec_1")
                assert again == ref
                assert all(await asyncio.gather(*readers))


async def test_a_value_whose_body_is_gone_is_not_waited_for(nats_url: str) -> None:
    async with stage(nats_url) as on:
        executor = await on.executor()
        store = ValueStore(executor.bus)
        ref = await store.put("v" * 300_000, TENANT, "exec_1")
        bucket = f"{on.settings.prefix}_values"
        await on.js.purge_stream(f"OBJ_{bucket}", subject=f"$O.{bucket}.C.>")
        async with asyncio.timeout(20):
            with pytest.raises(ValueNotFound):
                await store.get(ref, TENANT)
