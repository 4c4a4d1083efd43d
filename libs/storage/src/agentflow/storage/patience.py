"""Writing what must not be lost: patient with the database, strict with the data.

While the database does not answer, the items are held and tried again with growing pauses;
nothing is acknowledged, nothing spins. What the database refuses is found by halving the batch
and handed to `refuse`, one item at a time; everything else is stored.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from agentflow.storage.errors import HandedBack
from agentflow.storage.failures import is_refusal

Item = TypeVar("Item")
Write = Callable[[Sequence[Item]], Awaitable[object]]
Refuse = Callable[[Item, Exception], Awaitable[None]]

_FIRST_PAUSE = 0.1


class PatientWriter:
    """Stores batches. `on_held` hears True when the database is gone and False when it is back."""

    def __init__(
        self,
        service: str,
        *,
        write_timeout: float,
        retry_max: float,
        stopping: Callable[[], bool],
        on_held: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._write_timeout = write_timeout
        self._retry_max = retry_max
        self._stopping = stopping
        self._on_held = on_held
        self._log = structlog.get_logger(f"agentflow.{service}")

    async def store(self, items: Sequence[Item], write: Write[Item], refuse: Refuse[Item]) -> None:
        """Write all items but those refused; raises HandedBack when stopping before that."""
        refusal = await self._try(items, write)
        if refusal is None:
            return
        if len(items) == 1:
            await refuse(items[0], refusal)
            return
        middle = len(items) // 2
        await self.store(items[:middle], write, refuse)
        await self.store(items[middle:], write, refuse)

    async def _try(self, items: Sequence[Item], write: Write[Item]) -> Exception | None:
        """Write until it is stored (None) or refused (the refusal)."""
        pause, held = _FIRST_PAUSE, False
        while True:
            try:
                async with asyncio.timeout(self._write_timeout):
                    await write(items)
            except Exception as error:  # noqa: BLE001 - told apart here: the data or the database
                if is_refusal(error):
                    return error
                if not held:
                    held = True
                    self._on_held(True)
                    self._log.warning("storage.held", error=root_cause(error), items=len(items))
            else:
                if held:
                    self._on_held(False)
                    self._log.info("storage.back", items=len(items))
                return None
            if self._stopping():
                raise HandedBack
            await asyncio.sleep(pause)
            pause = min(self._retry_max, pause * 2)


def root_cause(error: BaseException) -> str:
    """The driver's own first line, without the statement or the row's values behind it."""
    root: BaseException = error
    while (below := getattr(root, "orig", None) or root.__cause__) is not None:
        root = below
    first = (str(root).splitlines() or [""])[0]
    return f"{type(root).__name__}: {first[:300]}"
