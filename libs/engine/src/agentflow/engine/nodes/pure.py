"""Running the nodes that need nothing but the state.

A node is compiled once and kept while it is in use; running it is then a plain function of
the state. Whatever its metadata or the state hold, only NodeFailed comes out.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol

from pydantic import ValidationError

from agentflow.contracts.errors import BadInput, NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node
from agentflow.engine.nodes.aggregator import AggregatorNode
from agentflow.engine.nodes.input import InputNode
from agentflow.engine.nodes.metadata import OUTPUT_KEYS
from agentflow.engine.nodes.router import PURE_STRATEGIES, RouterNode


class PureNode(Protocol):
    """A compiled node that decides from the state alone."""

    def run(self, state: Mapping[str, Any]) -> NodeResult: ...


def is_pure(node: Node) -> bool:
    """Whether the node can be decided in place: its type needs no worker and it names no pool."""
    if node.pool is not None:
        return False
    if node.kind == "router":
        return node.metadata.get("strategy", "keyword") in PURE_STRATEGIES
    return node.kind in ("input", "aggregator")


def default_output_key(node: Node) -> str | None:
    """The state key the node writes its output to; None: to none."""
    if node.kind == "input":
        return None
    key = node.metadata.get("output_key", OUTPUT_KEYS.get(node.kind))
    return key if isinstance(key, str) and key else OUTPUT_KEYS.get(node.kind)


def run_pure_node(node: Node, state: Mapping[str, Any]) -> NodeResult:
    """Run an input, router or aggregator node on the state it sees; raises NodeFailed."""
    return _compiled(_Same(node)).run(state)


class _Same:
    """A node as a cache key: itself, not what it equals (its metadata cannot be hashed)."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    def __hash__(self) -> int:
        return id(self.node)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.node is self.node


@lru_cache(maxsize=4096)
def _compiled(same: _Same) -> PureNode:
    node = same.node
    makers: dict[str, type[InputNode | RouterNode | AggregatorNode]] = {
        "input": InputNode,
        "router": RouterNode,
        "aggregator": AggregatorNode,
    }
    if node.kind not in makers:
        raise NodeFailed("unsupported_type", f"A node of type {node.type!r} needs a worker.")
    try:
        return makers[node.kind](node)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "/".join(str(step) for step in first["loc"])
        raise NodeFailed(
            "invalid_config",
            f"The metadata of node {node.id!r} is wrong at /{where}: {first['msg']}.",
        ) from None
    except BadInput as error:
        raise NodeFailed(
            error.code, f"Node {node.id!r}: {error.message}", hint=error.hint
        ) from None
