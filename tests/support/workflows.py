"""Small workflows tests share. Remote no-op nodes: `input` nodes sent to a pool."""

from typing import Any


def remote(node_id: str, **more: Any) -> dict[str, Any]:
    """A node that does nothing, in a worker."""
    return {"id": node_id, "type": "input", "pool": "input", **more}


def workflow(nodes: list[dict[str, Any]], *edges: tuple[str, Any], **more: Any) -> dict[str, Any]:
    """A spec that starts at its first node."""
    return {
        "name": "test",
        "start_node": nodes[0]["id"],
        "nodes": nodes,
        "edges": [{"from": source, "to": to} for source, to in edges],
        **more,
    }


def fan(width: int = 8) -> dict[str, Any]:
    """One node, `width` beside each other, one that joins them."""
    middle = [f"b{number}" for number in range(width)]
    nodes = [remote("a"), *(remote(node_id) for node_id in middle), remote("z")]
    return workflow(nodes, ("a", middle), *((node_id, "z") for node_id in middle))


def chain(length: int = 10) -> dict[str, Any]:
    """`length` nodes one after the other."""
    nodes = [remote(f"n{number}") for number in range(length)]
    return workflow(nodes, *((f"n{i}", f"n{i + 1}") for i in range(length - 1)))
