"""Handing nodes to worker pools: one task per node of an execution, never two.

The TASKS stream refuses a second outstanding task for the same node, so a repeated
dispatch is harmless; a task is published again only after the log was read again.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from agentflow.bus.bus import Bus, utc_now
from agentflow.bus.errors import AlreadyOutstanding, StreamFull
from agentflow.bus.values import ValueStore
from agentflow.contracts.errors import AgentflowError, PayloadTooLarge
from agentflow.contracts.events import NodeCancelled, NodeEvent, NodeRetrying, NodeStarted
from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.contracts.tasks import RunNode
from agentflow.engine.plan_parts import PlanNode
from agentflow.executor.compiled import CompiledWorkflow
from agentflow.executor.fitting import fit

ANSWER_WITHIN = 5.0
FULL_AGAIN_AFTER = 1.0


class Dispatcher:
    """Publishes the tasks of one execution and remembers what is outstanding."""

    def __init__(
        self,
        bus: Bus,
        values: ValueStore,
        tenant: TenantId,
        execution_id: ExecutionId,
        compiled: CompiledWorkflow,
        headers: dict[str, str],
    ) -> None:
        self._bus = bus
        self._values = values
        self._tenant = tenant
        self._execution_id = execution_id
        self._compiled = compiled
        self._headers = headers
        self.outstanding: set[NodeId] = set()
        self.started: set[NodeId] = set()
        self.doubtful: set[NodeId] = set()
        """Published without an answer: to be dispatched again after a look at the log."""
        self.on_doubt: Callable[[], None] = lambda: None

    async def dispatch(self, node: PlanNode, state: dict[str, Any], deadline: datetime) -> None:
        """Publish the node's task; raises PayloadTooLarge when it cannot be made to fit."""
        task = RunNode(
            tenant=self._tenant,
            execution_id=self._execution_id,
            node_id=node.id,
            pool=pool_of(node),
            node=node.node,
            source=self._source(node.node.source_id),
            state=state,
            deadline=deadline,
            dispatched_at=utc_now(),
            effect_key=f"{self._execution_id}.{node.id}",
            workflow_name=self._compiled.spec.name,
        )
        self.outstanding.add(node.id)
        try:
            await self._send(task)
        except PayloadTooLarge:
            fitted = await fit(state, self._values, self._tenant, self._execution_id)
            await self._send(task.model_copy(update={"state": fitted}))

    def pool_of(self, node_id: str) -> str:
        """The pool the node's task goes to."""
        return pool_of(self._compiled.plan.node(node_id))

    def hear(self, event: NodeEvent) -> None:
        """Keep account of what is outstanding."""
        if isinstance(event, NodeStarted | NodeRetrying):
            self.started.add(event.node_id)
        elif not isinstance(event, NodeCancelled):
            self.outstanding.discard(event.node_id)
            self.doubtful.discard(event.node_id)

    async def withdraw(self) -> None:
        """Take back the tasks nobody has begun or that are being cut; raises when it cannot."""
        subject = f"{self._bus.prefix}.tasks.*.{self._tenant}.{self._execution_id}.*"
        stream = f"{self._bus.prefix}_TASKS"
        await self._bus.nc.jetstream().purge_stream(stream, subject=subject)

    def _source(self, source_id: str | None) -> Any:
        if source_id is None:
            return None
        return self._compiled.spec.source(source_id) or self._compiled.sources.get(source_id)

    async def _send(self, task: RunNode) -> None:
        future = await self._bus.send(
            task,
            msg_id=f"{task.tenant}.{task.effect_key}",
            headers=self._headers,
            timeout=ANSWER_WITHIN,
            resend=False,
        )
        future.add_done_callback(lambda answer: self._answered(task.node_id, answer))

    def _answered(self, node_id: NodeId, answer: asyncio.Future[int]) -> None:
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None or isinstance(error, AlreadyOutstanding):
            return
        if node_id not in self.outstanding:
            return
        self.doubtful.add(node_id)
        if isinstance(error, StreamFull):
            asyncio.get_running_loop().call_later(FULL_AGAIN_AFTER, self.on_doubt)
        elif isinstance(error, AgentflowError):
            self.on_doubt()


def pool_of(node: PlanNode) -> str:
    """The pool that runs the node: the one it names, or the one of its type."""
    return node.node.pool or node.node.kind
