"""Which executions have ended, so that nothing runs on for them.

Hears the live feed for cancel requests and for ends other than success, and for nodes the
executor gave up; cuts what runs for them here, and remembers them for a while because a task
may still be on its way. After a gap in the feed the log is asked.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from agentflow.bus.bus import Bus
from agentflow.bus.live import LiveSubscription
from agentflow.bus.log_reader import StoredMessage
from agentflow.contracts.errors import AgentflowError
from agentflow.contracts.events import (
    CancelRequested,
    Event,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionTimedOut,
    NodeTimedOut,
    event_of,
)
from agentflow.contracts.tasks import RunNode

_REMEMBERED = 20_000
_ENDS: tuple[type[Event], ...] = (
    CancelRequested,
    ExecutionCancelled,
    ExecutionFailed,
    ExecutionTimedOut,
)
_VERBS = frozenset({"cancel_requested", "cancelled", "completed", "failed", "timed_out"})
_ExecutionKey = tuple[str, str]


class RunningNode:
    """One node being run; `cut` is true once its execution has ended."""

    __slots__ = ("cut", "node_id", "task")

    def __init__(self, node_id: str, task: "asyncio.Task[None] | None") -> None:
        self.node_id = node_id
        self.task = task
        self.cut = False

    def end(self) -> None:
        """Cancel the run; the provider's connection closes with it."""
        if not self.cut and self.task is not None:
            self.cut = True
            self.task.cancel()


class Cancels:
    """The running nodes of this worker by execution, and the executions that ended lately."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._running: dict[_ExecutionKey, set[RunningNode]] = {}
        self._over: OrderedDict[_ExecutionKey, None] = OrderedDict()
        self._subscriptions: list[LiveSubscription] = []
        self._asking: asyncio.Task[None] | None = None
        self._log = structlog.get_logger()

    async def listen(self) -> None:
        """Begin to hear the live feed."""
        root = self._bus.prefix
        for event in _ENDS:
            self._subscriptions.append(await self._bus.live(event.pattern(root), self._on_end))
        self._subscriptions.append(
            await self._bus.live(NodeTimedOut.pattern(root), self._on_node_timed_out)
        )

    async def stop(self) -> None:
        """Hear nothing more."""
        if self._asking is not None:
            self._asking.cancel()

    @property
    def count(self) -> int:
        """How many nodes run now."""
        return sum(len(nodes) for nodes in self._running.values())

    def is_over(self, task: RunNode) -> bool:
        """Whether the task's execution is known to have ended."""
        return (task.tenant, task.execution_id) in self._over

    @contextmanager
    def running(self, task: RunNode) -> Iterator[RunningNode]:
        """The node runs inside the block, and may be cut there."""
        key = (task.tenant, task.execution_id)
        node = RunningNode(task.node_id, asyncio.current_task())
        nodes = self._running.setdefault(key, set())
        nodes.add(node)
        try:
            yield node
        finally:
            nodes.discard(node)
            if not nodes and self._running.get(key) is nodes:
                del self._running[key]

    def on_gap(self) -> None:
        """The feed may have missed something: ask the log about everything that runs."""
        if self._running and (self._asking is None or self._asking.done()):
            self._asking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        for tenant, execution_id in list(self._running):
            try:
                last = await self._bus.log.last(tenant, execution_id, "execution.*")
            except (TimeoutError, AgentflowError, OSError) as error:
                self._log.warning("cancels.log_unread", error=str(error))
                return
            if (
                last is not None
                and last.subject.rpartition(".")[2] in _VERBS
                and event_of(last.subject, last.data) is not None
            ):
                self._end((tenant, execution_id))

    def _on_end(self, stored: StoredMessage) -> None:
        if event_of(stored.subject, stored.data) is None:
            return  # garbage on the subject ends nothing
        tenant, execution_id = stored.subject.split(".")[2:4]
        self._end((tenant, execution_id))

    def _on_node_timed_out(self, stored: StoredMessage) -> None:
        """The executor, or another worker, gave a node up: the slower one stops."""
        tenant, execution_id = stored.subject.split(".")[2:4]
        nodes = self._running.get((tenant, execution_id))
        if not nodes:
            return
        event = event_of(stored.subject, stored.data)
        for node in list(nodes):
            if isinstance(event, NodeTimedOut) and node.node_id == event.node_id:
                node.end()

    def _end(self, key: _ExecutionKey) -> None:
        self._over[key] = None
        if len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)
        for node in list(self._running.get(key, ())):
            node.end()
