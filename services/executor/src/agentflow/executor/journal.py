"""What one run writes to the event log, and whether it is stored yet.

Events of nodes are pipelined: the walk goes on while they are being stored, because
what they say can be derived again. The terminal event waits until all of them are.
"""

import asyncio

from agentflow.bus.bus import Bus
from agentflow.bus.publisher import Expect
from agentflow.contracts.events import Event, NodeEvent


class Journal:
    """Publishes the events of one execution."""

    def __init__(self, bus: Bus, tenant: str, execution_id: str, headers: dict[str, str]) -> None:
        self._bus = bus
        self._headers = headers
        # Message ids are stream-wide and callers may choose execution ids: the tenant goes first.
        self._id = f"{tenant}.{execution_id}"
        self._fence = f"{bus.prefix}.events.{tenant}.{execution_id}.execution.>"
        self._unanswered: set[asyncio.Future[int]] = set()
        self._own: set[str] = set()
        self.fence_sequence = 0
        """Sequence of the last execution-level event this run knows of."""

    def is_own(self, msg_id: str | None) -> bool:
        """Whether this run wrote (and folded) the event with that message id."""
        return msg_id in self._own

    async def node(self, event: NodeEvent) -> None:
        """Write a node's event; it is stored in order, but not waited for."""
        msg_id = self._msg_id(event)
        self._own.add(msg_id)
        future = await self._bus.send(event, msg_id=msg_id, timeout=60, headers=self._headers)
        self._unanswered.add(future)
        future.add_done_callback(self._answered)

    async def stored(self, event: NodeEvent) -> None:
        """Write a node's event and wait for it; it is heard like everybody else's."""
        await self._bus.publish(
            event, msg_id=self._msg_id(event), timeout=60, headers=self._headers
        )

    async def fenced(self, event: Event, owner: str) -> None:
        """Write an execution-level event, if none was written behind the last one known.

        Raises WrongLastSequence when another executor or a cancel came first.
        """
        msg_id = f"{self._id}.{type(event).__name__}.{owner}.{self.fence_sequence}"
        self.fence_sequence = await self._bus.publish(
            event,
            msg_id=msg_id,
            expect=Expect(self._fence, self.fence_sequence),
            timeout=60,
            headers=self._headers,
        )

    async def settle(self) -> None:
        """Wait until everything written is stored; raises what went wrong."""
        while self._unanswered:
            await asyncio.gather(*self._unanswered)

    def _msg_id(self, event: NodeEvent) -> str:
        return f"{self._id}.{event.node_id}.{type(event).__name__}"

    def _answered(self, future: asyncio.Future[int]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._unanswered.discard(future)
