"""uvicorn as the gateway runs it: uvloop, httptools, our signals.

SIGTERM and SIGINT stop accepting, end open streams and waits, let the other requests finish
within the grace period, and exit 0.
"""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from agentflow.bus.service import tune_memory
from agentflow.contracts.errors import AgentflowError
from agentflow.gateway.parts import Gateway
from agentflow.gateway.protocol import ProblemProtocol
from agentflow.gateway.settings import GatewaySettings


class GatewayDidNotStart(AgentflowError):
    """The gateway did not start; its log says why."""

    code = "gateway_did_not_start"


class GatewayServer(uvicorn.Server):
    """A server inside a running loop: `await start()`, `url`, `await stop()`."""

    def __init__(self, app: FastAPI, settings: GatewaySettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                loop="none",
                http=ProblemProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=settings.shutdown_grace_seconds,
            )
        )
        self._gateway: Gateway = app.state.gateway
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Whoever runs us handles signals."""
        yield

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """Start and wait until it listens; raises what kept it from starting."""
        self._task = asyncio.create_task(self._serve_or_not(), name="gateway")
        while not self.started:
            if self._task.done():
                await self._task
                raise GatewayDidNotStart
            await asyncio.sleep(0.005)

    async def _serve_or_not(self) -> None:
        """uvicorn ends the process when it cannot start; that is for our owner to decide."""
        with suppress(SystemExit):
            await self.serve()

    async def stop(self) -> None:
        """Finish open requests within the grace period, then let go of everything."""
        self.end()
        await self.ended()

    async def ended(self) -> None:
        """Wait for the end, whoever begins it."""
        if self._task is not None:
            await self._task
            self._task = None

    def end(self) -> None:
        """Begin to stop."""
        self._gateway.quiet()
        self.should_exit = True


def serve(app: FastAPI, settings: GatewaySettings) -> int:
    """Serve until a signal; the exit code: 0 after an orderly stop, 1 when it did not start."""
    tune_memory()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(app, settings))


async def _serve(app: FastAPI, settings: GatewaySettings) -> int:
    server = GatewayServer(app, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.end)
    log = structlog.get_logger("agentflow.gateway")
    try:
        await server.start()
    except GatewayDidNotStart:
        return 1
    log.info("gateway.listening", url=server.url)
    await server.ended()
    return 0
