"""Celery with Valkey as broker and backend, given the same work: ten no-op tasks as
1 → 8 → 1 (a chord) or one after the other (a chain), with the same number of workers.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from benchmarks.bus_client import Figures


class CeleryPeer:
    """A running Celery worker and what measures it."""

    def __init__(self, redis_url: str, workers: int) -> None:
        self._url = redis_url
        self._workers = workers

    @contextmanager
    def running(self) -> Iterator[None]:
        """The worker processes, until the block ends."""
        environment = {**os.environ, "BENCH_REDIS_URL": self._url}
        os.environ["BENCH_REDIS_URL"] = self._url
        command = [
            *(sys.executable, "-m", "celery", "-A", "benchmarks.celery_app", "worker"),
            *("--concurrency", str(self._workers), "--loglevel", "ERROR"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]
        worker = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            self._tasks()["fan10"]().get(timeout=60)
            yield
        finally:
            worker.terminate()
            worker.wait(timeout=30)

    async def measure(self, case: str, *, alone: int, total: int, concurrent: int) -> Figures:
        """The same measure as ours: one by one, then `concurrent` callers at once."""
        return await asyncio.to_thread(self._measure, case, alone, total, concurrent)

    def _measure(self, case: str, alone: int, total: int, concurrent: int) -> Figures:
        start = self._tasks()[case]

        def execute(_: int = 0) -> float:
            began = time.perf_counter()
            start().get(timeout=120, interval=0.001)
            return time.perf_counter() - began

        for _ in range(3):
            execute()
        lonely = [execute() for _ in range(alone)]
        began = time.perf_counter()
        with ThreadPoolExecutor(concurrent) as callers:
            times = sorted(callers.map(execute, range(total)))
        elapsed = time.perf_counter() - began
        return Figures(
            alone_p50_ms=statistics.median(lonely) * 1000,
            exec_per_s=total / elapsed,
            loaded_p50_ms=statistics.median(times) * 1000,
            loaded_p99_ms=times[int(total * 0.99)] * 1000,
        )

    def _tasks(self) -> dict[str, Callable[[], Any]]:
        from celery import chain, chord, group

        from benchmarks.celery_app import noop

        def fan() -> Any:
            return (noop.si() | chord(group(noop.si() for _ in range(8)), noop.si())).delay()

        def chained() -> Any:
            return chain(*(noop.si() for _ in range(10))).delay()

        return {"fan10": fan, "chain10": chained}
