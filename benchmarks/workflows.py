"""The workflows that are measured. A no-op node is an `input` node sent to a worker pool."""

from typing import Any


def noop(node_id: str) -> dict[str, Any]:
    """A node that does nothing, in a worker."""
    return {"id": node_id, "type": "input", "pool": "input"}


def fan(width: int = 8) -> dict[str, Any]:
    """1 → width → 1, every node remote."""
    middle = [f"b{number}" for number in range(width)]
    return {
        "name": f"fan{width + 2}",
        "start_node": "a",
        "nodes": [noop("a"), *(noop(node_id) for node_id in middle), noop("z")],
        "edges": [{"from": "a", "to": middle}, *({"from": n, "to": "z"} for n in middle)],
    }


def chain(length: int = 10) -> dict[str, Any]:
    """`length` nodes one after the other, every node remote."""
    return {
        "name": f"chain{length}",
        "start_node": "n0",
        "nodes": [noop(f"n{number}") for number in range(length)],
        "edges": [{"from": f"n{i}", "to": f"n{i + 1}"} for i in range(length - 1)],
    }


def pure3() -> dict[str, Any]:
    """input → keyword router → aggregator: nothing leaves the executor."""
    routes = [
        {"intent": "refund", "keywords": ["refund", "money back"]},
        {"intent": "delivery", "keywords": ["parcel", "late"]},
    ]
    return {
        "name": "pure3",
        "start_node": "input",
        "nodes": [
            {"id": "input", "type": "input", "metadata": {"validation": {"required": True}}},
            {
                "id": "route",
                "type": "router",
                "metadata": {"strategy": "keyword", "routes": routes, "default_intent": "other"},
            },
            {
                "id": "answer",
                "type": "aggregator",
                "metadata": {"strategy": "template", "template": "{intent}: {user_input}"},
            },
        ],
        "edges": [{"from": "input", "to": "route"}, {"from": "route", "to": "answer"}],
    }


def sleeping_branches(seconds: tuple[float, ...]) -> dict[str, Any]:
    """Two branches of sleeping nodes of unequal length and a join (see `critical_path`).

    The first branch sleeps `seconds`, the second the same backwards, so that stages taken
    as barriers would cost the sum of the stages' maxima.
    """
    nodes: list[dict[str, Any]] = [{"id": "a", "type": "input"}]
    edges: list[dict[str, Any]] = []
    for branch, pauses in (("x", seconds), ("y", seconds[::-1])):
        previous = "a"
        for number, pause in enumerate(pauses):
            node_id = f"{branch}{number}"
            nodes.append(
                {
                    "id": node_id,
                    "type": "llm",
                    "source_id": f"sleep_{pause}".replace(".", "_"),
                    "metadata": {"prompt": "sleep", "output_key": node_id},
                }
            )
            edges.append({"from": previous, "to": node_id})
            previous = node_id
        edges.append({"from": previous, "to": "z"})
    nodes.append({"id": "z", "type": "aggregator", "metadata": {"strategy": "merge"}})
    sources = [
        {
            "id": f"sleep_{pause}".replace(".", "_"),
            "kind": "llm",
            "config": {"provider": "demo", "delay_seconds": pause},
        }
        for pause in sorted(set(seconds))
    ]
    return {
        "name": "critical-path",
        "start_node": "a",
        "nodes": nodes,
        "edges": edges,
        "sources": sources,
    }
