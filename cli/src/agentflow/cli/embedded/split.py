"""One process per service, as in production, each with a pid file and a log.

A child that dies is reported, not restarted: a development stack that heals itself would
hide what production would see.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from typing import Self

import httpx

from agentflow.cli.embedded import services
from agentflow.cli.embedded.addresses import Addresses
from agentflow.cli.embedded.child import Child
from agentflow.cli.embedded.ground import Ground
from agentflow.cli.embedded.options import StackOptions
from agentflow.cli.embedded.ports import LOOPBACK, choose_port
from agentflow.cli.errors import StackTrouble

START_TIMEOUT_SECONDS = 60.0
STOP_GRACE_SECONDS = 20.0
POLL_SECONDS = 0.05


class ServiceProcess:
    """One service in its own process; ready when its health port says so."""

    def __init__(self, name: str, service: str, ground: Ground) -> None:
        self.service = service
        self._addresses = ground.addresses
        self._health_port = (
            ground.addresses.gateway_port if service == "gateway" else choose_port(0)
        )
        command = [sys.executable, "-m", "agentflow.cli.main", "serve", service]
        self.child = Child(name, command, ground.layout)

    async def start(self) -> None:
        variables = self._addresses.environment()
        if self.service != "gateway":
            variables["AGENTFLOW_HEALTH_PORT"] = str(self._health_port)
        await self.child.start(variables)

    async def ready(self, client: httpx.AsyncClient) -> None:
        """Wait for readiness; raises StackTrouble with its log when it ends before."""
        url = f"http://{LOOPBACK}:{self._health_port}/health/ready"
        while True:
            if self.child.exit_code is not None:
                raise self.child.trouble(f"ended with code {self.child.exit_code}.")
            try:
                if (await client.get(url)).is_success:
                    return
            except httpx.TransportError:
                pass  # not listening yet
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        await self.child.stop(STOP_GRACE_SECONDS)


class SplitStack:
    """`async with SplitStack(options) as stack:` and every service has its process."""

    mode = "split"

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self.ground = Ground(options)
        self.processes: list[ServiceProcess] = []
        self._exit = AsyncExitStack()

    @property
    def addresses(self) -> Addresses:
        return self.ground.addresses

    @property
    def pids(self) -> dict[str, list[int]]:
        """Process ids by service; `executor` may have several."""
        found: dict[str, list[int]] = {c.name: [c.pid] for c in self.ground.children}
        for process in self.processes:
            found.setdefault(process.service, []).append(process.child.pid)
        return found

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
        await self._exit.enter_async_context(self.ground)
        wanted = services.instances(self.options.executors, self.options.workers)
        self.processes = [ServiceProcess(name, service, self.ground) for name, service in wanted]
        self._exit.push_async_callback(self._stop_processes)
        for process in self.processes:
            await process.start()
        async with httpx.AsyncClient(trust_env=False) as client:
            waiting = [process.ready(client) for process in self.processes]
            try:
                async with asyncio.timeout(START_TIMEOUT_SECONDS):
                    await asyncio.gather(*waiting)
            except TimeoutError:
                raise StackTrouble(
                    f"Not every service became ready within {START_TIMEOUT_SECONDS:.0f} s.",
                    hint=f"Their logs are in {self.ground.layout.logs}.",
                ) from None

    async def _stop_processes(self) -> None:
        """Doors first, listeners last: the reverse of the start, each service at once."""
        order = list(dict.fromkeys(process.service for process in reversed(self.processes)))
        for service in order:
            await _all(p.stop for p in self.processes if p.service == service)


async def _all(stops: Iterable[Callable[[], Awaitable[None]]]) -> None:
    await asyncio.gather(*(stop() for stop in stops))
