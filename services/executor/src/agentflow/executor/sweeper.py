"""The sweeper: takes away tasks that nobody will ever run.

A task outlives its execution when no worker serves its pool, or when the executor that ended
the execution died before it withdrew it. Past the execution's deadline such a task is deleted;
its subject is free again and the stream does not fill up. Everything else in the streams comes
back by itself: commands and tasks are delivered again without limit.
"""

import asyncio
import contextlib
from datetime import timedelta

import structlog
from nats.errors import Error as NatsError
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError
from pydantic import ValidationError

from agentflow.bus import names
from agentflow.bus.bus import Bus, utc_now
from agentflow.contracts.tasks import RunNode
from agentflow.executor.measures import Measures

AT_ONCE = 500
"""Tasks looked at in one sweep; the next goes on behind them."""
SPARED = timedelta(seconds=30)
"""Past the deadline the executor gets this long to end the execution itself."""


class Sweeper:
    """Looks through the TASKS stream every `every` seconds."""

    def __init__(self, bus: Bus, measures: Measures, every: float) -> None:
        self._bus = bus
        self._measures = measures
        self._every = every
        self._stream = names.stream_name(bus.prefix, "TASKS")
        self._next = 0
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def sweep(self) -> int:
        """Delete what is past its time; how many that were."""
        swept = 0
        for _ in range(AT_ONCE):
            found = await self._following()
            if found is None:
                self._next = 0
                break
            self._next = (found.seq or 0) + 1
            if _is_past(found):
                await self._bus.nc.jetstream().delete_msg(self._stream, found.seq or 0)
                self._measures.swept.inc()
                self._log.info("task.swept", subject=found.subject)
                swept += 1
        return swept

    async def _following(self) -> RawStreamMsg | None:
        """The first task at or behind where the last look ended."""
        subject = f"{self._bus.prefix}.tasks.>"
        with contextlib.suppress(NotFoundError):
            return await self._bus.nc.jetstream().get_msg(
                self._stream, seq=self._next or 1, subject=subject, next=True
            )
        return None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.sweep()
            except (NatsError, TimeoutError) as error:
                self._log.warning("sweep.failed", error=f"{type(error).__name__}: {error}")


def _is_past(found: RawStreamMsg) -> bool:
    try:
        task = RunNode.decode(found.data or b"")
    except ValidationError:
        return False  # a worker puts what it cannot read into the dead letters
    return utc_now() > task.deadline + SPARED
