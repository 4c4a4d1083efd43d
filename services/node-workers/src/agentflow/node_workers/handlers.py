"""Doorway: a task comes in, is read, and is given to the worker."""

import structlog
from pydantic import ValidationError

from agentflow.bus.bus import Bus, utc_now
from agentflow.bus.delivery import Delivery
from agentflow.contracts.events import NodeFailed
from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.tasks import RunNode
from agentflow.node_workers.worker import Worker


class Handlers:
    """The worker's one doorway, for every pool it serves."""

    def __init__(self, bus: Bus, worker: Worker) -> None:
        self._bus = bus
        self._worker = worker
        self._log = structlog.get_logger()

    async def on_run_node(self, delivery: Delivery) -> None:
        """Run one node of one execution."""
        try:
            task = RunNode.decode(delivery.data)
        except ValidationError as error:
            await self._refuse(delivery, _first_fault(error))
            return
        if delivery.subject != task.subject(self._bus.prefix):
            await self._refuse(delivery, "its body names another place than its subject")
            return
        await self._worker.work(task, delivery)

    async def _refuse(self, delivery: Delivery, why: str) -> None:
        """Nobody can run it: its execution hears of it, operators find it."""
        self._log.warning("task.malformed", subject=delivery.subject, why=why)
        tokens = delivery.subject.removeprefix(f"{self._bus.prefix}.").split(".")
        if len(tokens) == 5:
            _, _, tenant, execution_id, node_id = tokens
            failed = NodeFailed(
                tenant=TenantId(tenant),
                execution_id=ExecutionId(execution_id),
                node_id=NodeId(node_id),
                node_type="unknown",
                occurred_at=utc_now(),
                error=NodeError(code="malformed_task", message=f"The task cannot be used: {why}."),
            )
            await self._bus.publish(failed)
        await delivery.dead_letter("malformed_task", why)


def _first_fault(error: ValidationError) -> str:
    """Where and what, without the value: it may hold anything."""
    fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
    place = "/".join(str(step) for step in fault["loc"])
    return f"{fault['msg']} at /{place}"
