"""Small builders for calls of nodes."""

from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.ids import TenantId
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node, Source, SourceKind
from agentflow.node_workers.runner import NodeRunner


def node(kind: str, **metadata: Any) -> Node:
    """A node `n` of that type; `timeout_seconds`, `retry` … may be among the metadata."""
    return Node.model_validate({"id": "n", "type": kind, "metadata": metadata})


def source(kind: SourceKind, **config: Any) -> Source:
    """A source `s` of that kind."""
    return Source(id="s", kind=kind, config=config)


async def run(
    runner: NodeRunner,
    what: Node,
    origin: Source | None = None,
    state: dict[str, Any] | None = None,
    **more: Any,
) -> NodeResult:
    """Run a node once."""
    return await runner.run(
        what,
        origin,
        state or {},
        effect_key=more.get("effect_key", "exec_1.n"),
        timeout=more.get("timeout", 30.0),
        tenant=TenantId(more.get("tenant", "default")),
    )


async def failure(
    runner: NodeRunner,
    what: Node,
    origin: Source | None = None,
    state: dict[str, Any] | None = None,
    **more: Any,
) -> NodeFailed:
    """Run a node that must fail; its failure."""
    try:
        result = await run(runner, what, origin, state, **more)
    except NodeFailed as error:
        return error
    raise AssertionError(f"the node did not fail: {result!r}")
