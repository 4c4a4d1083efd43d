"""Running a node with its retries in this process: what the bus does with redeliveries.

For `agentflow run --local` and for tests; the policy is the same, only the waiting is ours.
"""

import asyncio
import random
from collections.abc import Callable

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.ids import DEFAULT_TENANT, TenantId
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node, Source
from agentflow.contracts.state import JsonObject
from agentflow.node_workers.attempts import delay_before_next, policy_of
from agentflow.node_workers.runner import NodeRunner

OnRetry = Callable[[Node, int, NodeFailed, float], None]


async def run_with_retries(
    runner: NodeRunner,
    node: Node,
    source: Source | None,
    state: JsonObject,
    *,
    effect_key: str,
    timeout: float,
    tenant: TenantId = DEFAULT_TENANT,
    on_retry: OnRetry | None = None,
) -> NodeResult:
    """The node's result after as many attempts as its policy has; raises its last NodeFailed.

    `timeout`: seconds per attempt for a node without `timeout_seconds`.
    """
    policy = policy_of(node, source)
    attempt = 1
    while True:
        try:
            return await runner.run(
                node,
                source,
                state,
                effect_key=effect_key,
                timeout=node.timeout_seconds or timeout,
                tenant=tenant,
            )
        except NodeFailed as error:
            chance = random.random()  # noqa: S311 - jitter, not a secret
            delay = delay_before_next(error, policy, attempt, float("inf"), chance)
            if delay is None:
                raise
            if on_retry is not None:
                on_retry(node, attempt, error, delay)
        attempt += 1
        await asyncio.sleep(delay)
