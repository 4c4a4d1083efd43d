"""A server process of the tests: never outlives the test run, tells why it died.

The child dies with the test process (Linux: parent-death signal), even when that is killed.
Its output goes to a file, shown when it does not come up.
"""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

START_TIMEOUT = 20.0
_PR_SET_PDEATHSIG = 1


class ServerMissing(Exception):
    """The binary of a test server cannot be found on this machine."""


class ServerDied(Exception):
    """A test server ended, or did not answer in time; holds the tail of its log."""


def free_port() -> int:
    """A TCP port that was free a moment ago. Callers retry with another when it is taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Child:
    """One process: `start`, `terminate`, `kill`, `pause`, `resume`."""

    def __init__(self, name: str, log: Path) -> None:
        self.name = name
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerDied(f"{self.name} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(
        self,
        command: Sequence[str],
        ready: Callable[[], bool],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        """Run `command` until `ready()` says so; raises ServerDied with its log."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if env is None else dict(env),
                user=user,
                group=None if user is None else _group_of(user),
                extra_groups=None if user is None else [],
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one prctl call, no locks taken
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not ready():
            if not self.running or time.monotonic() > deadline:
                code = self._process.poll()
                self.kill()
                raise ServerDied(f"{self.name} did not come up (exit {code}):\n{self.tail()}")
            time.sleep(0.005)

    def terminate(self, grace: float = 10.0) -> int | None:
        """SIGTERM, then SIGKILL after `grace` seconds. The exit code."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.terminate()
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                self.kill()
        return process.returncode

    def kill(self) -> None:
        """SIGKILL: no goodbye, nothing flushed."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def pause(self) -> None:
        """SIGSTOP: alive for the kernel, dead for everybody who talks to it.

        Returns once it has stopped: a process of many threads may still answer for a moment.
        """
        os.kill(self.pid, signal.SIGSTOP)
        process = psutil.Process(self.pid)
        for _ in range(200):
            if process.status() == psutil.STATUS_STOPPED:
                return
            time.sleep(0.005)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def tail(self, lines: int = 30) -> str:
        """The end of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def answers(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
