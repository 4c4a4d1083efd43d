"""What the services stand on: servers, schema, streams and a key, made in that order.

Everything is taken down again in reverse, also when something on the way up failed. What a
killed stack left running is ended first.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Self

from pydantic import SecretStr

from agentflow.cli.embedded.addresses import Addresses
from agentflow.cli.embedded.child import Child
from agentflow.cli.embedded.database import migrate, sqlite_url
from agentflow.cli.embedded.development_key import ensure_development_key
from agentflow.cli.embedded.layout import Layout
from agentflow.cli.embedded.lock import DirectoryLock
from agentflow.cli.embedded.nats_server import NatsServer
from agentflow.cli.embedded.options import StackOptions
from agentflow.cli.embedded.pid_files import end_leftovers
from agentflow.cli.embedded.ports import LOOPBACK, choose_port
from agentflow.cli.embedded.private_files import keep_pepper
from agentflow.cli.embedded.streams import apply_topology
from agentflow.cli.embedded.valkey_server import EmbeddedValkey, start_valkey
from agentflow.storage.settings import StorageSettings

PEPPER = "AGENTFLOW_API_KEY_PEPPER"


class Ground:
    """The servers under the services; use as an async context manager."""

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self.layout = Layout.under(options.directory)
        self.children: list[Child] = []
        self.leftovers: list[str] = []
        self._exit = AsyncExitStack()
        self._addresses: Addresses | None = None

    @property
    def addresses(self) -> Addresses:
        """Where everything answers; only once started."""
        if self._addresses is None:
            raise RuntimeError("the ground is not laid yet")
        return self._addresses

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._exit.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    async def _start(self) -> None:
        self.layout.make()
        lock = DirectoryLock(self.layout.lock)
        lock.acquire()
        self._exit.callback(lock.release)
        self.leftovers = await asyncio.to_thread(end_leftovers, self.layout.run)
        self.layout.dev_file.unlink(missing_ok=True)
        options = self.options
        database_url = options.database_url or sqlite_url(self.layout.database)
        nats = NatsServer(self.layout, port=options.nats_port, durability=options.durability)
        valkey, _, _ = await asyncio.gather(
            self._start_valkey(), self._start_nats(nats), migrate(database_url)
        )
        storage = StorageSettings(database_url=database_url, api_key_pepper=self._pepper())
        api_key = await ensure_development_key(storage, self.layout.api_key)
        await apply_topology(nats.url)
        self._addresses = Addresses(
            gateway_url=f"http://{LOOPBACK}:{choose_port(options.gateway_port)}",
            nats_url=nats.url,
            database_url=database_url,
            redis_url=valkey.url if valkey else None,
            api_key=api_key,
            api_key_pepper=storage.api_key_pepper,
            durability=options.durability,
        )

    def _pepper(self) -> SecretStr:
        """The operator's, else this directory's own."""
        return SecretStr(os.environ.get(PEPPER) or keep_pepper(self.layout.pepper))

    async def _start_nats(self, nats: NatsServer) -> None:
        self._exit.push_async_callback(nats.stop)
        await nats.start()
        self.children.append(nats.child)

    async def _start_valkey(self) -> EmbeddedValkey | None:
        valkey = await start_valkey(self.layout, self.options.valkey_port)
        if valkey is not None:
            self._exit.push_async_callback(valkey.stop)
            self.children.append(valkey.child)
        return valkey
