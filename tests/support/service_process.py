"""A service as its own process, as an operator starts it."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from agentflow.bus.settings import BusSettings
from agentflow.storage.settings import StorageSettings


class ServiceProcess:
    """`python -m agentflow.<module>.app`'s `main`, with stdout and stderr kept."""

    def __init__(self, module: str, bus: BusSettings, storage: StorageSettings) -> None:
        self._code = f"from agentflow.{module}.app import main; main()"
        self._env = {
            **os.environ,
            "AGENTFLOW_NATS_URL": bus.nats_url,
            "AGENTFLOW_BUS_PREFIX": bus.prefix,
            "AGENTFLOW_BUS_COMMAND_ACK_WAIT": str(bus.command_ack_wait),
            "AGENTFLOW_BUS_TASK_ACK_WAIT": str(bus.task_ack_wait),
            "AGENTFLOW_DATABASE_URL": storage.database_url,
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            self._code,
            env=self._env,
            cwd=Path(__file__).parent,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def kill(self) -> None:
        """kill -9."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> tuple[int, str]:
        """SIGTERM; exit code and output."""
        return await self._end(signal.SIGTERM)

    async def exited(self) -> tuple[int, str]:
        """Wait until it ends by itself; exit code and output."""
        return await self._end(None)

    async def _end(self, number: int | None) -> tuple[int, str]:
        process = self._process
        if process is None:
            return 0, ""
        if number is not None and process.returncode is None:
            process.send_signal(number)
        async with asyncio.timeout(40):
            output, _ = await process.communicate()
        self._process = None
        return process.returncode or 0, output.decode(errors="replace")
