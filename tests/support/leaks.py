"""No test run leaves a process behind.

Every process of a run inherits a mark in its environment, so that those which detached
themselves are found too. What is left at the end is named, ended, and fails the run.
"""

import contextlib
import os
import time
import uuid

import psutil

SESSION_MARK = "AGENTFLOW_TEST_SESSION"
"""Variable every process of a test run inherits."""
PATIENCE = 3.0
"""Seconds a process that is already going down may take."""


def mark_session() -> str:
    """Mark this process' children from now on; the mark."""
    mark = uuid.uuid4().hex
    os.environ[SESSION_MARK] = mark
    return mark


def leaked(mark: str) -> list[psutil.Process]:
    """Processes that carry the mark, this one aside, and are still there after a moment."""
    deadline = time.monotonic() + PATIENCE
    while (found := _marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def end(processes: list[psutil.Process]) -> list[str]:
    """Kill them; one line for each: pid and command."""
    lines = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            lines.append(f"pid {process.pid}: {' '.join(process.cmdline())[:200]}")
            process.kill()
    return lines


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(SESSION_MARK) == mark:
                found.append(process)
    return found
