"""The servers the other tests stand on."""

import os
from pathlib import Path

import asyncpg
import nats
import pytest

from tests.support import postgres_server
from tests.support.child import Child, ServerDied, free_port
from tests.support.servers import NatsServer, PostgresServer, ValkeyServer
from tests.support.valkey_server import valkey_binary


async def test_a_killed_nats_server_comes_back_with_its_store(nats_server: NatsServer) -> None:
    client = await nats.connect(nats_server.url, allow_reconnect=False)
    stream = client.jetstream()
    await stream.add_stream(name="KEEP", subjects=["keep"])
    await stream.publish("keep", b"one")
    await client.close()

    nats_server.kill()
    assert not nats_server.running
    nats_server.start()

    client = await nats.connect(nats_server.url)
    assert (await client.jetstream().stream_info("KEEP")).state.messages == 1
    await client.close()


async def test_each_test_finds_an_empty_jetstream(nats_url: str) -> None:
    client = await nats.connect(nats_url)
    assert await client.jetstream().streams_info() == []
    assert client.max_payload == 8 * 1024 * 1024
    await client.close()


async def test_a_small_store_is_really_small(nats_server: NatsServer) -> None:
    with NatsServer(nats_server.directory / "small", max_file_store=100_000) as small:
        client = await nats.connect(small.url)
        with pytest.raises(nats.js.errors.ServerError, match="insufficient"):
            await client.jetstream().add_stream(name="S", subjects=["s"], max_bytes=10_000_000)
        await client.close()


async def test_each_test_gets_an_empty_database_of_postgres_18(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url)
    assert (await connection.fetchval("show server_version")).startswith("18")
    assert await connection.fetch("select 1 from pg_tables where schemaname = 'public'") == []
    await connection.close()


async def test_postgres_comes_back_after_a_crash_with_what_was_committed(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    connection = await asyncpg.connect(postgres_url)
    await connection.execute("create table t (n int); insert into t values (7)")
    await connection.close()
    postgres_server.kill()
    postgres_server.start()
    connection = await asyncpg.connect(postgres_url)
    assert await connection.fetchval("select n from t") == 7
    await connection.close()


def test_valkey_answers_and_is_empty(valkey_server: ValkeyServer, valkey_url: str) -> None:
    assert valkey_url.startswith("redis://127.0.0.1:")
    valkey_server.flush()


def test_a_server_that_does_not_come_up_shows_its_log(tmp_path: Path) -> None:
    child = Child("valkey-server", tmp_path / "log")
    with pytest.raises(ServerDied, match=r"(?s)exit 1.*no-such-option"):
        child.start([valkey_binary(), "--no-such-option", "x"], lambda: False)
    assert not child.running


def test_free_ports_differ() -> None:
    assert free_port() != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must hand PostgreSQL to another user")
async def test_postgres_starts_from_a_wheel_its_user_cannot_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a checkout below a directory only root may enter."""
    monkeypatch.setattr(postgres_server, "_readable_by_all", lambda _: False)
    with postgres_server.PostgresServer() as server:
        assert "wheel" in str(server._bin)
        connection = await asyncpg.connect(server.url("postgres"))
        assert await connection.fetchval("select 1") == 1
        await connection.close()
    assert not server._home.exists()
