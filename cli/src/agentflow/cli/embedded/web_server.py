"""Serves the gateway inside a loop that belongs to somebody else.

uvicorn normally takes the signals and the loop; here the stack owns both.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from agentflow.cli.embedded.ports import LOOPBACK
from agentflow.cli.errors import StackTrouble

POLL_SECONDS = 0.01


class _QuietServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class WebServer:
    """One ASGI app on one loopback port."""

    def __init__(self, app: Any, port: int, grace_seconds: int = 10) -> None:
        config = uvicorn.Config(
            app,
            host=LOOPBACK,
            port=port,
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=grace_seconds,
        )
        self._server = _QuietServer(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start and wait until it listens; raises what kept it from starting."""
        self._task = asyncio.create_task(self._server.serve(), name="gateway")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise StackTrouble("The gateway did not start; its log says why.")
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """Finish open requests within the grace period, then close."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            self._task = None
