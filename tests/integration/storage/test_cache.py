"""The cache on a real Valkey, and without one: misses, never errors (G11)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from agentflow.storage.cache import Cache
from agentflow.storage.settings import StorageSettings
from tests.support.proxy import Proxy
from tests.support.servers import ValkeyServer
from tests.support.waiting import eventually


def settings(url: str | None) -> StorageSettings:
    return StorageSettings(redis_url=url, cache_retry=0.1)


@pytest.fixture
async def cache(valkey_url: str) -> AsyncIterator[Cache]:
    made = Cache(settings(valkey_url))
    yield made
    await made.close()


async def test_values_are_shared_between_processes(cache: Cache, valkey_url: str) -> None:
    other = Cache(settings(valkey_url))
    await cache.set("k", b"\0value", 60)
    assert await other.get("k") == b"\0value"
    await other.delete("k")
    assert await cache.get("k") is None
    assert await cache.ping()
    await other.close()


async def test_a_value_outlives_its_time_nowhere(cache: Cache) -> None:
    await cache.set("k", b"v", 0.05)

    async def gone() -> bool:
        return await cache.get("k") is None

    await eventually(gone)


async def test_another_prefix_sees_nothing(cache: Cache, valkey_url: str) -> None:
    other = Cache(settings(valkey_url), prefix="other")
    await cache.set("k", b"v", 60)
    assert await other.get("k") is None
    await other.close()


async def test_without_a_server_everything_is_local_and_nobody_is_warned() -> None:
    cache = Cache(settings(None))
    with capture_logs() as logs:
        await cache.set("k", b"v", 60)
        assert await cache.get("k") == b"v"
        await cache.delete("k")
        assert await cache.get("k") is None
        assert await cache.ping()
    assert not cache.degraded
    assert logs == []
    await cache.close()


async def test_a_server_that_goes_and_comes_back_costs_one_warning(tmp_path: Path) -> None:
    structlog.reset_defaults()
    with ValkeyServer(tmp_path) as server:
        cache = Cache(settings(server.url))
        await cache.set("old", b"before", 60)
        server.stop()
        with capture_logs() as logs:
            assert await cache.get("old") is None
            await cache.set("k", b"local", 60)
            assert await cache.get("k") == b"local"
            assert not await cache.ping()
            server.start()
            await eventually(cache.ping)
            assert await cache.get("k") is None
            await cache.set("k", b"shared", 60)
            assert await cache.get("k") == b"shared"
        assert not cache.degraded
        assert [entry["event"] for entry in logs] == ["cache.degraded", "cache.recovered"]
        await cache.close()


async def test_what_was_deleted_during_an_outage_does_not_come_back(
    valkey_server: ValkeyServer, valkey_url: str
) -> None:
    async with Proxy("127.0.0.1", valkey_server.port) as proxy:
        cache = Cache(settings(f"redis://127.0.0.1:{proxy.port}/0"))
        near = Cache(settings(valkey_url))
        await cache.set("k", b"stale", 60)
        proxy.refuse()
        await cache.delete("k")
        assert await near.get("k") == b"stale"  # what the server still holds
        proxy.flow()
        await eventually(cache.ping)
        assert await cache.get("k") is None
        assert await near.get("k") is None
        await cache.close()
        await near.close()


async def test_a_server_that_answers_nothing_costs_one_short_wait(
    valkey_server: ValkeyServer, valkey_url: str
) -> None:
    async with Proxy("127.0.0.1", valkey_server.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        cache = Cache(StorageSettings(redis_url=url, cache_timeout=0.2, cache_retry=60))
        proxy.stall()
        for number in range(50):  # 49 of them ask nobody
            assert await cache.get(f"k{number}") is None
        assert proxy.connections == 1
        await cache.close()
