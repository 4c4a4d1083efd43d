"""Pid files that can be trusted after a crash.

A file holds the bare pid; its modification time is the moment that process was created.
A pid the kernel has given to somebody else since does not match and is left alone.
"""

import os
from pathlib import Path

import psutil

SAME_MOMENT_SECONDS = 1.0


def write_pid(path: Path, pid: int) -> None:
    """Remember a process that has just been started."""
    path.write_text(f"{pid}\n")
    try:
        created = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return
    os.utime(path, (created, created))


def living(path: Path) -> psutil.Process | None:
    """The process a pid file speaks of, if it is still that one and still runs."""
    try:
        process = psutil.Process(int(path.read_text()))
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        same = abs(process.create_time() - path.stat().st_mtime) < SAME_MOMENT_SECONDS
    except (OSError, ValueError, psutil.NoSuchProcess):
        return None
    return process if same else None


def end_leftovers(directory: Path, grace_seconds: float = 5.0) -> list[str]:
    """Stop what a killed stack left running and remove its pid files; returns their names."""
    found = {path.stem: living(path) for path in sorted(directory.glob("*.pid"))}
    leftovers = {name: process for name, process in found.items() if process}
    for process in leftovers.values():
        _signal(process, kill=False)
    _, stubborn = psutil.wait_procs(list(leftovers.values()), timeout=grace_seconds)
    for process in stubborn:
        _signal(process, kill=True)
    psutil.wait_procs(stubborn, timeout=grace_seconds)
    for path in directory.glob("*.pid"):
        path.unlink(missing_ok=True)
    return list(leftovers)


def _signal(process: psutil.Process, *, kill: bool) -> None:
    try:
        process.kill() if kill else process.terminate()
    except psutil.NoSuchProcess:
        return
