"""The findings of `agentflow doctor`.

`bad` keeps AgentFlow from working here; `note` is worth knowing; `good` is as it should be.
Each check says what it found and what to do, and none of them changes anything.
"""

import asyncio
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import httpx

from agentflow.bus import topology
from agentflow.cli.bus_connection import on_bus
from agentflow.cli.dev_file import DevFile, find_dev_file
from agentflow.cli.embedded import nats_server, valkey_server
from agentflow.cli.embedded.layout import HOME, Layout
from agentflow.cli.embedded.pid_files import living
from agentflow.contracts.errors import AgentflowError

State = Literal["good", "note", "bad"]
MARKS: dict[State, str] = {"good": "✔", "note": "!", "bad": "✘"}
TIMEOUT_SECONDS = 15.0
LOW_DISK_BYTES = 1024**3


@dataclass(frozen=True)
class CheckFinding:
    """One line of the report."""

    what: str
    state: State
    found: str
    advice: str = ""

    def cells(self) -> tuple[str, str, str, str]:
        return MARKS[self.state], self.what, self.found, self.advice


async def examine() -> list[CheckFinding]:
    """All checks, in the order in which one depends on the other."""
    findings = [_python(), _nats_binary(), _valkey_binary(), _disk(), _leftovers()]
    dev = find_dev_file()
    findings.append(_stack(dev))
    if dev is not None or os.environ.get("AGENTFLOW_URL"):
        findings.append(await _gateway(dev))
    if dev is not None:
        findings += await asyncio.gather(_bus(dev), _database(dev.database_url), _cache(dev))
    return findings


def _python() -> CheckFinding:
    found = f"Python {platform.python_version()}, agentflow {version('agentflow-cli')}"
    good = sys.version_info >= (3, 11)
    return CheckFinding("python", "good" if good else "bad", found, "" if good else "Use >= 3.11")


def _nats_binary() -> CheckFinding:
    try:
        return CheckFinding("nats-server", "good", str(nats_server.find_binary()))
    except AgentflowError as error:
        return CheckFinding("nats-server", "bad", error.message, error.hint or "")


def _valkey_binary() -> CheckFinding:
    binary = valkey_server.find_binary()
    if binary is None:
        advice = "Fine for one machine: caches and limits are local to each process."
        return CheckFinding("valkey", "note", "no binary for this machine", advice)
    return CheckFinding("valkey", "good", str(binary))


def _disk() -> CheckFinding:
    import shutil

    free = shutil.disk_usage(".").free
    found = f"{free / 1024**3:.1f} GiB free here"
    if free < LOW_DISK_BYTES:
        return CheckFinding("disk", "bad", found, "JetStream stops taking messages when full.")
    return CheckFinding("disk", "good", found)


def _leftovers() -> CheckFinding:
    from pathlib import Path

    layout = Layout.under(Path())
    running = [path.stem for path in sorted(layout.run.glob("*.pid")) if living(path)]
    if running and find_dev_file() is None:
        found = f"left running by a killed stack: {', '.join(running)}"
        return CheckFinding(HOME, "note", found, "The next `agentflow dev` here ends them.")
    return CheckFinding(HOME, "good", "no leftovers")


def _stack(dev: DevFile | None) -> CheckFinding:
    if dev is None:
        return CheckFinding("stack", "note", "none is running here", "Start one: agentflow dev")
    return CheckFinding("stack", "good", f"{dev.mode}, process {dev.pid}")


async def _gateway(dev: DevFile | None) -> CheckFinding:
    url = os.environ.get("AGENTFLOW_URL") or (dev.gateway_url if dev else "")

    async def ask() -> str:
        async with httpx.AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as client:
            response = await client.get(f"{url}/health/ready")
            response.raise_for_status()
        return f"{url} is ready"

    return await _probe("gateway", ask)


async def _bus(dev: DevFile) -> CheckFinding:
    async def ask() -> str:
        found = await on_bus(dev.nats_url, topology.status)
        wrong = [finding.name for finding in found if not finding.ok]
        if wrong:
            raise AgentflowError(f"differs: {', '.join(wrong)}", hint="agentflow bus apply")
        return f"{dev.nats_url}, {len(found)} streams, consumers and buckets as they should be"

    return await _probe("bus", ask)


async def _cache(dev: DevFile) -> CheckFinding:
    if dev.redis_url is None:
        return CheckFinding("cache", "note", "no Valkey: local caches and limits")
    url = dev.redis_url

    async def ask() -> str:
        from redis.asyncio import Redis

        async with Redis.from_url(url, socket_timeout=TIMEOUT_SECONDS) as client:
            await client.ping()
        return f"{url} answers"

    return await _probe("cache", ask)


async def _database(url: str) -> CheckFinding:
    from agentflow.cli.embedded.database import check_schema

    async def ask() -> str:
        return await check_schema(url)

    return await _probe("database", ask)


async def _probe(what: str, ask: Callable[[], Awaitable[str]]) -> CheckFinding:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return CheckFinding(what, "good", await ask())
    except TimeoutError:
        return CheckFinding(what, "bad", f"no answer within {TIMEOUT_SECONDS:g} s")
    except AgentflowError as error:
        return CheckFinding(what, "bad", error.message, error.hint or "")
    except Exception as error:  # noqa: BLE001 - whatever a part throws is what doctor reports
        return CheckFinding(what, "bad", f"{type(error).__name__}: {error}")
