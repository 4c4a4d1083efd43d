"""All six services in this process and this event loop, on real servers."""

import asyncio
import os
from contextlib import AsyncExitStack
from contextvars import copy_context
from typing import Any, Self

from structlog.contextvars import bind_contextvars

from agentflow.cli.embedded import services
from agentflow.cli.embedded.addresses import Addresses
from agentflow.cli.embedded.environment import lent
from agentflow.cli.embedded.ground import Ground
from agentflow.cli.embedded.options import StackOptions
from agentflow.cli.embedded.web_server import WebServer


class EmbeddedStack:
    """`async with EmbeddedStack(options) as stack:` and everything runs."""

    mode = "one process"

    def __init__(self, options: StackOptions) -> None:
        self.options = options
        self.ground = Ground(options)
        self._exit = AsyncExitStack()

    @property
    def addresses(self) -> Addresses:
        return self.ground.addresses

    @property
    def pids(self) -> dict[str, list[int]]:
        """Process ids by name; all services share ours."""
        own = {service: [os.getpid()] for service in services.SERVICES}
        return own | {child.name: [child.pid] for child in self.ground.children}

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
        for _, service in services.instances(self.options.executors, self.options.workers):
            app = self._build(service)
            if service == "gateway":
                quiet = app.state.gateway.quiet
                app = WebServer(app, self.addresses.gateway_port)
            self._exit.push_async_callback(app.stop)
            if service == "gateway":
                # Before its stop: open event streams and waits end, so nothing waits for them.
                self._exit.callback(quiet)
            # Everything a service says, also from tasks it starts, carries its name.
            context = copy_context()
            context.run(bind_contextvars, service=service)
            await asyncio.create_task(app.start(), context=context)

    def _build(self, service: str) -> Any:
        with lent(self.addresses.environment()):
            return services.load(service).create_app()
