"""Input, router and aggregator nodes: the engine decides them, from the state alone.

They run here only when the workflow names a pool for them.
"""

from agentflow.contracts.result import NodeResult
from agentflow.engine.nodes import run_pure_node
from agentflow.node_workers.call import NodeCall

PURE_KINDS = ("input", "router", "aggregator")


class PureNode:
    """Hands the node to the engine."""

    async def run(self, call: NodeCall) -> NodeResult:
        return run_pure_node(call.node, call.state)

    async def aclose(self) -> None:
        """Holds nothing."""
