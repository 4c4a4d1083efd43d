"""A child process with a pid file and a log file, that never outlives its owner's stop.

Children get their own session: Ctrl-C in the terminal reaches only us, and we stop them in
the right order.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from agentflow.cli.embedded.layout import Layout
from agentflow.cli.embedded.pid_files import write_pid
from agentflow.cli.errors import StackTrouble

LOG_TAIL_LINES = 15


class Child:
    """One supervised process. `name` names its pid file and its log."""

    def __init__(self, name: str, command: Sequence[str | Path], layout: Layout) -> None:
        self.name = name
        self.log = layout.logs / f"{name}.log"
        self._command = [str(part) for part in command]
        self._pid_file = layout.run / f"{name}.pid"
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id; raises StackTrouble before start."""
        if self._process is None:
            raise StackTrouble(f"{self.name} has not been started.")
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return None if self._process is None else self._process.returncode

    async def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start it with our environment plus `env`; output goes to the log file."""
        with self.log.open("ab") as log:
            try:
                self._process = await asyncio.create_subprocess_exec(
                    *self._command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **(env or {})},
                    start_new_session=True,
                )
            except OSError as error:
                raise StackTrouble(f"{self.name} could not be started: {error}.") from error
        write_pid(self._pid_file, self._process.pid)

    async def wait(self) -> int:
        """Wait until it ends by itself; returns its exit code."""
        if self._process is None:
            raise StackTrouble(f"{self.name} has not been started.")
        return await self._process.wait()

    async def stop(self, grace_seconds: float) -> None:
        """SIGTERM, then SIGKILL when the grace period is over."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            _send(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), grace_seconds)
            except TimeoutError:
                _send(process, signal.SIGKILL)
                await process.wait()
        self._pid_file.unlink(missing_ok=True)

    def log_tail(self) -> str:
        """The last lines it said."""
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def trouble(self, what: str) -> StackTrouble:
        """An error about this child, with the end of its log."""
        return StackTrouble(f"{self.name} {what}\n{self.log_tail()}\nFull log: {self.log}")


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return
