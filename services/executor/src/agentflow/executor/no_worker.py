"""Telling a slow node from one that no worker serves.

When an execution times out, a node whose task nobody ever began and whose pool nobody pulls
from is named as the cause: `no_worker_for_type`.
"""

from nats.errors import Error as NatsError

from agentflow.bus import names
from agentflow.contracts.problem import NodeError
from agentflow.executor.dispatch import Dispatcher
from agentflow.executor.parts import Parts


async def blame_missing_worker(
    parts: Parts, dispatcher: Dispatcher, error: NodeError | None
) -> NodeError | None:
    """`error`, or one that names the pool nobody serves."""
    for node_id in sorted(dispatcher.outstanding - dispatcher.started):
        pool = dispatcher.pool_of(node_id)
        if not await _is_served(parts, pool):
            return NodeError(
                code="no_worker_for_type",
                message=(
                    f"Node {node_id!r} waited for a worker of pool {pool!r} until the "
                    "execution's deadline; none is running."
                ),
                node_id=node_id,
                hint=f"Start one: agentflow serve node-workers --types {pool}",
            )
    return error


async def _is_served(parts: Parts, pool: str) -> bool:
    stream = names.stream_name(parts.bus.prefix, "TASKS")
    try:
        info = await parts.bus.nc.jetstream().consumer_info(stream, names.pool_durable(pool))
    except NatsError:
        return False
    return bool(info.num_waiting or info.num_ack_pending)
