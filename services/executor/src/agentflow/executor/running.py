"""The runs of this process, and who must hear of a gap in the live feed."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from agentflow.executor.measures import Measures
from agentflow.executor.run import ExecutionRun


class Running:
    """All executions this executor owns now."""

    def __init__(self, executor_id: str, measures: Measures) -> None:
        self._executor_id = executor_id
        self._measures = measures
        self._counter = itertools.count(1)
        self._runs: set[ExecutionRun] = set()

    def __len__(self) -> int:
        return len(self._runs)

    def next_owner(self) -> str:
        """A name no other run has: one process can lose an execution to itself."""
        return f"{self._executor_id}.{next(self._counter)}"

    @contextmanager
    def holding(self, run: ExecutionRun) -> Iterator[None]:
        """Count `run` among the runs while it runs."""
        self._runs.add(run)
        self._measures.in_flight.inc()
        try:
            yield
        finally:
            self._runs.discard(run)
            self._measures.in_flight.dec()

    def on_disconnect(self) -> None:
        """From now on live messages may be missing."""
        for run in self._runs:
            run.mark_gap()

    def on_gap(self) -> None:
        """Live messages are missing: read the logs."""
        for run in self._runs:
            run.look()
