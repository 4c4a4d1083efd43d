"""From how an attempt went to the event that tells it. Large values go by reference."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentflow.bus.values import ValueStore
from agentflow.contracts.errors import PayloadTooLarge
from agentflow.contracts.events import (
    NodeCancelled,
    NodeCompleted,
    NodeEvent,
    NodeRetrying,
    NodeStarted,
    NodeTimedOut,
)
from agentflow.contracts.events import NodeFailed as NodeFailedEvent
from agentflow.contracts.problem import NodeError
from agentflow.contracts.result import NodeResult
from agentflow.contracts.tasks import RunNode


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of one task by one worker."""

    task: RunNode
    number: int
    worker_id: str
    started_at: datetime

    def message_id(self, event: NodeEvent) -> str:
        """The same for the same fact told twice; holds the tenant, who may choose the rest."""
        task, verb = self.task, event.SUBJECT.rpartition(".")[2]
        return f"{task.tenant}.{task.execution_id}.{task.node_id}.{self.number}.{verb}"

    def started(self, now: datetime) -> NodeStarted:
        return NodeStarted(**self._common(now))

    def cancelled(self, now: datetime) -> NodeCancelled:
        return NodeCancelled(**self._common(now))

    def retrying(self, now: datetime, error: NodeError, delay: float) -> NodeRetrying:
        return NodeRetrying(**self._common(now), error=error, delay_seconds=delay)

    def failed(self, now: datetime, error: NodeError) -> NodeFailedEvent:
        return NodeFailedEvent(**self._common(now), error=error)

    def timed_out(self, now: datetime, error: NodeError) -> NodeTimedOut:
        return NodeTimedOut(**self._common(now), error=error)

    async def completed(
        self, now: datetime, result: NodeResult, values: ValueStore
    ) -> NodeCompleted:
        """Raises PayloadTooLarge when a value of the result is over the hard limit."""
        task = self.task
        writes = result.writes
        if writes:
            writes = await values.offload(writes, task.tenant, task.execution_id)
        return NodeCompleted(
            **self._common(now),
            output=await values.offload_value(result.output, task.tenant, task.execution_id),
            output_key=result.output_key,
            writes=writes,
            input=await self._input(result.input, values),
            usage=result.usage,
            warnings=result.warnings,
        )

    async def _input(self, given: Any, values: ValueStore) -> Any:
        """What the node used is for the record only: it may not fail the node."""
        try:
            return await values.offload_value(given, self.task.tenant, self.task.execution_id)
        except PayloadTooLarge:
            return None

    def _common(self, now: datetime) -> dict[str, Any]:
        task = self.task
        return {
            "tenant": task.tenant,
            "execution_id": task.execution_id,
            "node_id": task.node_id,
            "node_type": task.node.kind,
            "attempt": self.number,
            "worker_id": self.worker_id,
            "dispatched_at": task.dispatched_at,
            "started_at": self.started_at,
            "occurred_at": now,
        }
