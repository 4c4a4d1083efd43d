"""The real `agentflow` command in a process of its own, as a user or a script starts it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "agentflow.cli.main")
TIMEOUT_SECONDS = 90.0
POLL_SECONDS = 0.05
ANY_PORTS = ("--port", "0", "--nats-port", "0", "--valkey-port", "0")
FOREIGN = ("AGENTFLOW_URL", "AGENTFLOW_API_KEY", "AGENTFLOW_NATS_URL", "AGENTFLOW_DATABASE_URL")


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what would point the command at another stack."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    return {**kept, "COLUMNS": "120", **(extra or {})}


def agentflow(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; the caller looks at the exit code."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(env),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )


class Dev:
    """A running `agentflow dev` in `directory`."""

    def __init__(self, directory: Path, process: subprocess.Popen[str], log: Path) -> None:
        self.directory = directory
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        """All it printed on stderr so far."""
        return self._log.read_text()

    @property
    def file(self) -> dict[str, Any]:
        """dev.json."""
        document: dict[str, Any] = json.loads(
            (self.directory / ".agentflow" / "dev.json").read_text()
        )
        return document

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Another command in the same directory."""
        return agentflow(*arguments, cwd=self.directory, **options)

    def wait_until_it_says(self, text: str) -> None:
        """Raises AssertionError with all it said when it does not, or ends before."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while text not in self.said:
            ended = self.process.poll() is not None
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"never said {text!r}, exit {self.process.poll()}:{self.said}")
            time.sleep(POLL_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send the signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT_SECONDS)


@contextmanager
def running_dev(
    directory: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> Iterator[Dev]:
    """`agentflow dev` on free ports until the block ends; ready when the block begins."""
    log = directory / "dev.stderr"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*COMMAND, "dev", *ANY_PORTS, *arguments],
            cwd=directory,
            env=environment(env),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    dev = Dev(directory, process, log)
    try:
        dev.wait_until_it_says("Ctrl-C stops it.")
        yield dev
    finally:
        if process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                dev.stop()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
