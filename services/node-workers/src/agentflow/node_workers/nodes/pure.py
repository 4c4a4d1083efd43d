"""Input, router and aggregator nodes: the engine decides them, from the state alone.

They run here only when the workflow names a pool for them. The engine keeps what it compiled
of a node by the node's identity, and each task brings a node of its own: equal ones are made
the same again, which spares compiling them for every execution.
"""

from collections import OrderedDict

from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node
from agentflow.engine.nodes import run_pure_node
from agentflow.node_workers.call import NodeCall

PURE_KINDS = ("input", "router", "aggregator")
_KEPT = 2_048


class PureNode:
    """Hands the node to the engine."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, Node] = OrderedDict()

    async def run(self, call: NodeCall) -> NodeResult:
        return run_pure_node(self._same(call.node), call.state)

    async def aclose(self) -> None:
        self._seen.clear()

    def _same(self, node: Node) -> Node:
        seen = self._seen.get(node.id)
        if seen == node and seen is not None:
            return seen
        self._seen[node.id] = node
        if len(self._seen) > _KEPT:
            self._seen.popitem(last=False)
        return node
