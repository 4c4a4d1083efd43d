"""One execution under way: the thin shell around the walk.

It hears the log (the live feed, and the log itself after a gap), folds each event once and
in order, and carries out what the walk asks for. The log wins over the feed. Whoever finds
that another executor has the execution stops without touching it.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import datetime

import structlog

from agentflow.bus.bus import utc_now
from agentflow.bus.errors import WrongLastSequence
from agentflow.bus.log_reader import StoredMessage
from agentflow.bus.publisher import MSG_ID
from agentflow.bus.values import ValueNotFound
from agentflow.contracts.errors import AgentflowError, PayloadTooLarge
from agentflow.contracts.events import (
    CommandAccepted,
    Event,
    ExecutionEnded,
    ExecutionResumed,
    ExecutionStarted,
    NodeEvent,
    NodeFailed,
    NodeSkipped,
    event_of,
)
from agentflow.contracts.problem import NodeError
from agentflow.contracts.state import ValueRef
from agentflow.contracts.status import ExecutionStatus
from agentflow.engine.fold import final_state, visible_state
from agentflow.engine.plan_parts import PlanNode
from agentflow.engine.walk import decide, resume, start
from agentflow.engine.walk.effects import (
    DispatchNode,
    Effect,
    Finish,
    LoadValues,
    RecordSkipped,
    RunHere,
)
from agentflow.engine.walk.happenings import DeadlinePassed, ValuesLoaded, ValuesLost
from agentflow.engine.walk.state import WalkState
from agentflow.executor.beginning import cancelled_before_start, is_fenced, read_log, started_event
from agentflow.executor.compiled import CompiledWorkflow
from agentflow.executor.dispatch import Dispatcher
from agentflow.executor.ending import ended_event
from agentflow.executor.errors import ExecutionIdTaken, LostOwnership
from agentflow.executor.fitting import fit
from agentflow.executor.intake import Order
from agentflow.executor.journal import Journal
from agentflow.executor.no_worker import blame_missing_worker
from agentflow.executor.parts import Parts
from agentflow.executor.pure import run_here
from agentflow.executor.weight import Weight

Happening = Event | DeadlinePassed | ValuesLoaded | ValuesLost


class ExecutionRun:
    """Carries one execution from its command to its terminal event."""

    def __init__(
        self,
        parts: Parts,
        order: Order,
        compiled: CompiledWorkflow,
        owner: str,
        headers: dict[str, str],
        first: bool,
    ) -> None:
        tenant = order.command.tenant
        self._first = first
        self._parts = parts
        self._order = order
        self._compiled = compiled
        self._owner = owner
        self._journal = Journal(parts.bus, tenant, order.execution_id, headers)
        self._dispatcher = Dispatcher(
            parts.bus, parts.values, tenant, order.execution_id, compiled, headers
        )
        self._dispatcher.on_doubt = self.look
        self._weight = Weight(parts.settings.execution_limit_bytes)
        self._feed: asyncio.Queue[StoredMessage | None] = asyncio.Queue()
        self._sequence = 0
        self._gap = False
        self._finish: Finish | None = None
        self._ended: ExecutionEnded | None = None
        self.on_started: bytes | None = None
        """Sent to the reply subjects once the start is stored."""
        self._state: WalkState
        self._started: ExecutionStarted
        self._log = structlog.get_logger().bind(
            tenant=tenant, execution_id=order.execution_id, owner=owner
        )

    @property
    def started(self) -> ExecutionStarted:
        """The start as the log has it."""
        return self._started

    def mark_gap(self) -> None:
        """Live messages may have been missed: read the log before folding another one."""
        self._gap = True

    def look(self) -> None:
        """Read the log now."""
        self._gap = True
        self._feed.put_nowait(None)

    async def carry_out(self) -> ExecutionEnded:
        """Run to the end; raises LostOwnership when another executor has taken over."""
        command = self._order.command
        pattern = f"{self._parts.bus.prefix}.events.{command.tenant}.{self._order.execution_id}.>"
        live = await self._parts.bus.live(pattern, self._feed.put_nowait)
        timer = _Timer(self, self._parts.settings.watchdog)
        try:
            await self._begin()
            timer.until(self._deadline)
            while self._finish is None and self._ended is None:
                await self._next()
            return self._ended or await self._end()
        finally:
            timer.stop()
            await live.stop()

    @property
    def _deadline(self) -> datetime:
        if self._ended is not None:
            return utc_now()
        return self._started.deadline

    async def _begin(self) -> None:
        started = await started_event(self._parts, self._order, self._compiled, self._owner)
        try:
            await self._journal.fenced(started, self._owner)
        except WrongLastSequence:
            await self._recover()
            return
        self._started = started
        if self.on_started is not None:
            for subject in self._order.reply_to:
                await self._parts.bus.reply(subject, self.on_started)
        self._weight.add(started.initial_state)
        self._state, effects = self._start()
        await self._apply(effects)

    def _start(self) -> tuple[WalkState, Iterable[Effect]]:
        return start(
            self._compiled.plan,
            self._started.initial_state,
            deadline=self._started.deadline,
            max_parallel=self._parts.settings.max_parallel_nodes,
        )

    async def _recover(self) -> None:
        """The log is not empty: fold it, take the execution over, and go on from there."""
        log = await read_log(self._parts.bus, self._order)
        self._sequence = log.last_sequence
        self._journal.fence_sequence = log.fence_sequence
        if self._first and log.started is not None:
            self._check_same(log.started)
        if log.ended is not None:
            self._ended = log.ended
            await self._dispatcher.withdraw()
            return
        if log.started is None:
            self._started = await started_event(
                self._parts, self._order, self._compiled, self._owner
            )
            self._ended = cancelled_before_start(self._started)
            await self._journal.fenced(self._ended, self._owner)
            return
        self._started = log.started
        self._weight.add(log.started.initial_state)
        self._state, _ = self._start()
        for event in log.events:
            self._fold(event)
        resumed = ExecutionResumed(
            tenant=log.started.tenant,
            execution_id=log.started.execution_id,
            occurred_at=utc_now(),
            executor_id=self._owner,
        )
        try:
            await self._journal.fenced(resumed, self._owner)
        except WrongLastSequence:
            await self._recover()
            return
        self._parts.measures.resumed.inc()
        self._log.info("execution.resumed", events=len(log.events))
        await self._apply(resume(self._state))

    def _check_same(self, started: ExecutionStarted) -> None:
        """A command that is new to us found its execution begun: is it the same order?"""
        if started.definition_hash != self._compiled.plan.definition_hash:
            raise ExecutionIdTaken(
                f"The execution {started.execution_id!r} is one of another workflow, "
                f"{started.workflow_name!r}.",
                hint="Leave `execution_id` out, or choose one that was never used.",
            )

    async def _next(self) -> None:
        message = await self._feed.get()
        if self._gap:
            await self._look()
        if message is not None:
            await self._hear(message)
        if self._finish is None and utc_now() >= self._started.deadline:
            await self._apply(self._fold(DeadlinePassed(utc_now())))

    async def _look(self) -> None:
        """Read what the log has behind what is folded; dispatch again what is in doubt."""
        self._gap = False
        self._parts.measures.reread.inc()
        command = self._order.command
        async for message in self._parts.bus.read(
            command.tenant, self._order.execution_id, self._sequence
        ):
            await self._hear(message)
        for node_id in sorted(self._dispatcher.doubtful):
            if self._finish is None and node_id in self._dispatcher.outstanding:
                self._dispatcher.doubtful.discard(node_id)
                await self._apply(await self._dispatch(node_id))

    async def _hear(self, message: StoredMessage) -> None:
        if message.sequence <= self._sequence or self._ended is not None:
            return
        self._sequence = message.sequence
        if self._journal.is_own(message.headers.get(MSG_ID)):
            return
        if is_fenced(message.subject):
            self._journal.fence_sequence = max(self._journal.fence_sequence, message.sequence)
        event = event_of(message.subject, message.data)
        if event is None:
            self._log.warning("event.ignored", subject=message.subject)
            return
        if isinstance(event, CommandAccepted):
            return
        if not isinstance(event, NodeEvent):
            self._hear_execution(event)
        if self._ended is None:
            await self._apply(self._fold(event))

    def _hear_execution(self, event: Event) -> None:
        if isinstance(event, ExecutionEnded):
            self._ended = event
        elif isinstance(event, ExecutionStarted | ExecutionResumed) and (
            event.executor_id != self._owner
        ):
            raise LostOwnership(f"{event.executor_id} has taken the execution over.")

    def _fold(self, happening: Happening) -> Iterable[Effect]:
        if isinstance(happening, NodeEvent):
            happening = self._weight.judge(happening)
            self._dispatcher.hear(happening)
        self._state, effects = decide(self._state, happening)
        return effects

    async def _apply(self, effects: Iterable[Effect]) -> None:
        queue = deque(effects)
        while queue:
            effect = queue.popleft()
            if isinstance(effect, DispatchNode):
                queue.extend(await self._dispatch(effect.node_id))
            elif isinstance(effect, RunHere):
                queue.extend(await self._run_here(effect.node_id))
            elif isinstance(effect, RecordSkipped):
                await self._record_skipped(effect)
            elif isinstance(effect, LoadValues):
                queue.extend(self._fold(await self._load(effect.refs)))
            else:
                self._finish = effect
                return

    async def _dispatch(self, node_id: str) -> Iterable[Effect]:
        node = self._compiled.plan.node(node_id)
        seen = visible_state(self._state, node_id, node.reads)
        try:
            await self._dispatcher.dispatch(node, seen, self._started.deadline)
        except PayloadTooLarge as error:
            return await self._record(self._too_large(node, error))
        self._parts.measures.dispatched.labels(type=node.node.kind).inc()
        return ()

    async def _run_here(self, node_id: str) -> Iterable[Effect]:
        node = self._compiled.plan.node(node_id)
        seen = visible_state(self._state, node_id, node.reads)
        event = await run_here(
            node.node, seen, self._started, self._parts.values, self._parts.executor_id
        )
        self._parts.measures.decided.labels(type=node.node.kind).inc()
        try:
            return await self._record(event)
        except PayloadTooLarge as error:
            return await self._record(self._too_large(node, error))

    async def _record(self, event: NodeEvent) -> Iterable[Effect]:
        """Write what was decided here and fold it.

        Where a join takes whoever is first in the log, the log has to say who that is: the
        event is folded when it is heard, behind what was stored before it.
        """
        if self._compiled.first_counts:
            await self._journal.stored(event)
            return ()
        await self._journal.node(event)
        return self._fold(event)

    def _too_large(self, node: PlanNode, error: PayloadTooLarge) -> NodeFailed:
        return NodeFailed(
            tenant=self._started.tenant,
            execution_id=self._started.execution_id,
            occurred_at=utc_now(),
            node_id=node.id,
            node_type=node.node.kind,
            error=NodeError(code=error.code, message=error.message, node_id=node.id),
        )

    async def _record_skipped(self, effect: RecordSkipped) -> None:
        node = self._compiled.plan.node(effect.node_id).node
        await self._journal.node(
            NodeSkipped(
                tenant=self._started.tenant,
                execution_id=self._started.execution_id,
                occurred_at=utc_now(),
                node_id=effect.node_id,
                node_type=node.kind,
                reason=effect.reason,
            )
        )

    async def _load(self, refs: frozenset[str]) -> ValuesLoaded | ValuesLost:
        loaded = {}
        for name in sorted(refs):
            ref: ValueRef = {"$ref": name, "size": 0, "type": "any"}
            try:
                loaded[name] = await self._parts.values.get(ref, self._started.tenant)
            except ValueNotFound as error:
                return ValuesLost(frozenset((name,)), error.message)
        return ValuesLoaded(loaded)

    async def _end(self) -> ExecutionEnded:
        finish = self._finish
        if finish is None:
            raise AgentflowError("The walk has not finished.")
        await self._journal.settle()
        error = finish.error
        if finish.status is ExecutionStatus.TIMED_OUT:
            error = await blame_missing_worker(self._parts, self._dispatcher, error)
        ended = await self._told(finish.status, error)
        while True:
            try:
                await self._journal.fenced(ended, self._owner)
            except WrongLastSequence:
                # A cancel came between: it lost. A terminal event or another owner: we did.
                await self._look()
                if self._ended is not None:
                    return self._ended
            except PayloadTooLarge as too_large:
                ended = self._without_state(finish.status, too_large)
            else:
                break
        if self._dispatcher.outstanding:
            await self._dispatcher.withdraw()
        return ended

    async def _told(self, status: ExecutionStatus, error: NodeError | None) -> ExecutionEnded:
        started = self._started
        state = final_state(self._state)
        try:
            fitted = await fit(state, self._parts.values, started.tenant, started.execution_id)
        except PayloadTooLarge as too_large:
            return self._without_state(status, too_large)
        return ended_event(started, status, fitted, utc_now(), error)

    def _without_state(self, status: ExecutionStatus, why: PayloadTooLarge) -> ExecutionEnded:
        """The end of an execution whose final state no message can hold."""
        if status is ExecutionStatus.COMPLETED:
            status = ExecutionStatus.FAILED
        error = NodeError(
            code=why.code,
            message=f"The final state cannot be told: {why.message}",
            hint="The outputs of the nodes are in the log of the execution.",
        )
        return ended_event(self._started, status, {}, utc_now(), error)


class _Timer:
    """Wakes a run at its deadline, and now and then when it is quiet."""

    def __init__(self, run: ExecutionRun, watchdog: float) -> None:
        self._run = run
        self._watchdog = watchdog
        self._loop = asyncio.get_running_loop()
        self._deadline = float("inf")
        self._handle: asyncio.TimerHandle | None = None

    def until(self, deadline: datetime) -> None:
        """Begin to count towards `deadline`."""
        self._deadline = self._loop.time() + (deadline - utc_now()).total_seconds()
        self._schedule()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _schedule(self) -> None:
        now = self._loop.time()
        left = max(0.01, self._deadline - now)
        self._handle = self._loop.call_later(min(self._watchdog, left), self._ring)

    def _ring(self) -> None:
        self._run.look()
        self._schedule()
