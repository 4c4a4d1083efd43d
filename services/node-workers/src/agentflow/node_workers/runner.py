"""NodeRunner: runs one attempt of one node, in any process, with or without a bus.

A node type does its work or raises NodeFailed; whatever else it raises becomes
`internal_error` with our words. Nothing runs past its timeout, and what comes back can be
stored. Registering a type is one line in `app.make_runner`.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from agentflow.contracts.errors import BadInput, NodeFailed
from agentflow.contracts.ids import DEFAULT_TENANT, TenantId
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node, Source
from agentflow.contracts.state import JsonObject
from agentflow.node_workers.call import NodeCall
from agentflow.node_workers.storable import storable
from agentflow.telemetry.logging import get_logger


class NodeType(Protocol):
    """What runs the nodes of one type. Cancelling `run` closes its connections at once."""

    async def run(self, call: NodeCall) -> NodeResult:
        """The node's result; raises NodeFailed."""
        ...

    async def aclose(self) -> None:
        """Give back connections and threads."""
        ...


class NodeTimeout(NodeFailed):
    """The node ran longer than its timeout and was cut."""

    def __init__(self, node: Node, seconds: float) -> None:
        super().__init__(
            "timeout",
            f"The {node.type} node {node.id!r} was cut after {seconds:g} seconds.",
            hint="Raise timeout_seconds of the node, or make its work smaller.",
            details={"timeout_seconds": seconds},
        )


class NodeRunner:
    """The node types of this process."""

    def __init__(self, types: Mapping[str, NodeType]) -> None:
        self._types = dict(types)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The node types that can be run here."""
        return tuple(self._types)

    async def run(
        self,
        node: Node,
        source: Source | None,
        state: JsonObject,
        *,
        effect_key: str,
        timeout: float | None = None,
        tenant: TenantId = DEFAULT_TENANT,
    ) -> NodeResult:
        """Run one attempt, at most `timeout` seconds; raises NodeFailed (NodeTimeout)."""
        node_type = self._types.get(node.kind)
        if node_type is None:
            raise self._unsupported(node)
        call = NodeCall(node, source, state, effect_key, tenant)
        try:
            async with asyncio.timeout(timeout) as clock:
                result = await node_type.run(call)
        except TimeoutError as error:
            if clock.expired() and timeout is not None:
                raise NodeTimeout(node, timeout) from None
            raise _crashed(node, error) from error
        except NodeFailed:
            raise
        except BadInput as error:
            raise NodeFailed(error.code, error.message, hint=error.hint) from error
        except Exception as error:
            # A bug in one node type may not take the worker, nor tell what it held.
            get_logger().exception("node.crashed", node_id=node.id, node_type=node.type)
            raise _crashed(node, error) from error
        return _checked(result)

    async def aclose(self) -> None:
        """Close what the node types hold."""
        for node_type in self._types.values():
            await node_type.aclose()

    def _unsupported(self, node: Node) -> NodeFailed:
        return NodeFailed(
            "unsupported_type",
            f"This worker has no node type {node.type!r} (node {node.id!r}).",
            hint=f"It runs: {', '.join(sorted(self._types))}.",
        )


def _crashed(node: Node, error: Exception) -> NodeFailed:
    return NodeFailed(
        "internal_error",
        f"The {node.type} node {node.id!r} broke with {type(error).__name__}.",
        hint="This is a fault of AgentFlow; the worker's log has the traceback.",
    )


def _checked(result: NodeResult) -> NodeResult:
    return result.model_copy(
        update={
            "output": storable(result.output),
            "writes": storable(result.writes, "writes"),
            "input": storable(result.input, "input"),
        }
    )
