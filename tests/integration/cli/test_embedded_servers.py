"""The servers under the embedded stack are real, start fast, and leave nothing behind."""

import asyncio
import json
import os
import signal
from pathlib import Path

import httpx
import nats
import psutil
import pytest

from agentflow.cli.embedded.child import Child
from agentflow.cli.embedded.layout import Layout
from agentflow.cli.embedded.lock import DirectoryLock
from agentflow.cli.embedded.nats_server import NatsServer
from agentflow.cli.embedded.pid_files import end_leftovers, living, write_pid
from agentflow.cli.embedded.ports import choose_port, is_free
from agentflow.cli.embedded.streams import apply_topology
from agentflow.cli.embedded.valkey_server import start_valkey
from agentflow.cli.errors import StackTrouble
from tests.support.waiting import eventually

pytestmark = pytest.mark.nats


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout.under(tmp_path)
    layout.make()
    return layout


async def test_nats_server_keeps_its_streams_over_a_restart(layout: Layout) -> None:
    server = NatsServer(layout, port=0)
    await server.start()
    await apply_topology(server.url)
    await server.stop()
    again = NatsServer(layout, port=0)
    await again.start()
    try:
        client = await nats.connect(again.url)
        info = await client.jetstream().stream_info("agentflow_EVENTS")
        await client.close()
        assert info.config.subjects == ["agentflow.events.>"]
    finally:
        await again.stop()


async def test_nats_server_listens_on_loopback_only_and_takes_eight_mebibytes(
    layout: Layout,
) -> None:
    server = NatsServer(layout, port=0)
    await server.start()
    try:
        addresses = psutil.Process(server.child.pid).net_connections()
        listening = {c.laddr.ip for c in addresses if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        client = await nats.connect(server.url)
        assert client.max_payload == 8 * 1024 * 1024
        await client.close()
    finally:
        await server.stop()


@pytest.mark.parametrize(("durability", "always"), [("default", False), ("fsync", True)])
async def test_durability_decides_whether_every_write_is_synced(
    layout: Layout, durability: str, always: bool
) -> None:
    server = NatsServer(layout, port=0, durability=durability)  # type: ignore[arg-type]  # both are
    await server.start()
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            varz = (await client.get(f"{server.monitor_url}/varz")).json()
        assert bool(varz["jetstream"]["config"].get("sync_always", False)) is always
    finally:
        await server.stop()


async def test_a_taken_port_is_replaced_by_a_free_one(layout: Layout) -> None:
    first = NatsServer(layout, port=choose_port(0))
    await first.start()
    try:
        assert not is_free(first.port)
        assert NatsServer(layout, port=first.port).port != first.port
    finally:
        await first.stop()
    assert is_free(first.port)


async def test_a_server_that_cannot_start_says_why(layout: Layout) -> None:
    server = NatsServer(layout, port=0)
    (layout.nats / "jetstream").write_text("a file where the store should be")
    with pytest.raises(StackTrouble, match="storage directory is not a directory"):
        await server.start()
    assert living(layout.run / "nats-server.pid") is None


async def test_valkey_answers_and_stops(layout: Layout) -> None:
    valkey = await start_valkey(layout, 0)
    if valkey is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have a Valkey")
        pytest.skip("no Valkey for this machine")
    from redis.asyncio import Redis

    async with Redis.from_url(valkey.url) as client:
        await client.set("a", "1")
        assert await client.get("a") == b"1"
    pid = valkey.child.pid
    await valkey.stop()
    assert not psutil.pid_exists(pid)


async def test_without_a_valkey_binary_the_stack_goes_on_without(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentflow.cli.embedded.valkey_server.find_binary", lambda: None)
    assert await start_valkey(layout, 0) is None


async def test_a_valkey_that_dies_at_once_counts_as_none(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "agentflow.cli.embedded.valkey_server.find_binary", lambda: Path("/bin/false")
    )
    assert await start_valkey(layout, 0) is None


async def test_what_a_killed_stack_left_running_is_ended(layout: Layout) -> None:
    sleeper = Child("sleeper", ["sleep", "600"], layout)
    await sleeper.start()
    pid = sleeper.pid
    ended = await asyncio.to_thread(end_leftovers, layout.run)
    assert ended == ["sleeper"]
    assert not psutil.pid_exists(pid)
    await sleeper.wait()
    assert list(layout.run.glob("*.pid")) == []


async def test_a_pid_somebody_else_has_now_is_left_alone(layout: Layout) -> None:
    path = layout.run / "executor.pid"
    write_pid(path, os.getpid())
    assert living(path) is not None
    os.utime(path, (1.0, 1.0))
    assert living(path) is None
    assert end_leftovers(layout.run) == []


def test_a_second_stack_in_a_directory_is_refused_and_told_by_whom(layout: Layout) -> None:
    first, second = DirectoryLock(layout.lock), DirectoryLock(layout.lock)
    first.acquire()
    with pytest.raises(StackTrouble, match=f"process {os.getpid()}"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


async def test_a_child_that_ignores_sigterm_is_killed_after_the_grace(layout: Layout) -> None:
    script = "trap '' TERM; echo ready; while true; do sleep 0.05; done"
    child = Child("stubborn", ["sh", "-c", script], layout)
    await child.start()
    await eventually(lambda: "ready" in child.log_tail())
    await child.stop(0.2)
    assert child.exit_code == -signal.SIGKILL


def test_everything_is_readable_by_its_owner_only(layout: Layout) -> None:
    assert json.dumps(oct(layout.home.stat().st_mode & 0o777)) == '"0o700"'
