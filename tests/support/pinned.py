"""Workflows that were hard to get right, as small as they come. Both schedulers run them all.

Each has a name that says what it is about, and the nodes that run, in plan order.
"""

from typing import Any, NamedTuple

from tests.support.specs import Json, llm


class Pinned(NamedTuple):
    """A workflow, its initial state, and who runs."""

    name: str
    spec: Json
    initial: Json
    runs: str


def _edge(source: str, to: str, condition: str | None = None) -> Json:
    targets = to.split() if " " in to else to
    return {"from": source, "to": targets, **({"condition": condition} if condition else {})}


def _spec(edges: list[Json], nodes: str, **settings: dict[str, Any]) -> Json:
    made = [llm(node, **settings.get(node, {})) for node in nodes]
    return {"start_node": nodes[0], "nodes": made, "edges": edges}


PINNED = (
    Pinned(
        "a join of unequal branches",
        _spec([_edge("a", "b c"), _edge("b", "d"), _edge("d", "e"), _edge("c", "e")], "abcde"),
        {},
        "abcde",
    ),
    Pinned(
        "a join one parent of which was routed away",
        _spec([_edge("a", "b c", "intent"), _edge("b", "d"), _edge("c", "d")], "abcd"),
        {"intent": "c"},
        "acd",
    ),
    Pinned(
        "a join whose parents were all routed away",
        _spec([_edge("a", "b c", "false"), _edge("b", "d"), _edge("c", "d")], "abcd"),
        {},
        "a",
    ),
    Pinned(
        "a node and its own grandchild into one join",
        _spec([_edge("a", "b d"), _edge("b", "c"), _edge("c", "d")], "abcd"),
        {},
        "abcd",
    ),
    Pinned(
        "two edges between the same two nodes",
        _spec([_edge("a", "b", "x == 1"), _edge("a", "b"), _edge("a", "b", "else")], "ab"),
        {"x": 1},
        "ab",
    ),
    Pinned(
        "a goto into a join that also has an edge from the same node",
        _spec(
            [_edge("a", "b c"), _edge("b", "d"), _edge("c", "d")],
            "abcd",
            b={"fails": True, "on_error": {"goto": "d"}},
        ),
        {},
        "abcd",
    ),
    Pinned(
        "a goto past a join that then misses a branch",
        _spec(
            [_edge("a", "b c"), _edge("b", "d"), _edge("c", "d"), _edge("d", "e")],
            "abcde",
            b={"fails": True, "on_error": {"goto": "e"}},
        ),
        {},
        "abcde",
    ),
    Pinned(
        "an orphan into a join",
        _spec([_edge("a", "c"), _edge("b", "c")], "abc"),
        {},
        "ac",
    ),
    Pinned(
        "an orphan into the start node",
        _spec([_edge("b", "a"), _edge("a", "c")], "abc"),
        {},
        "ac",
    ),
    Pinned(
        "else beside a condition that leads to the end",
        _spec([_edge("a", "END", "x == 1"), _edge("a", "b", "else")], "ab"),
        {"x": 1},
        "a",
    ),
    Pinned(
        "a failure that continues and whose edge asks for the error",
        _spec(
            [_edge("a", "b", "size(errors) == 1"), _edge("a", "c", "else")],
            "abc",
            a={"fails": True, "on_error": "continue"},
        ),
        {},
        "ab",
    ),
    Pinned(
        "a default that a condition reads",
        _spec(
            [_edge("a", "b", "y == 7")],
            "ab",
            a={"fails": True, "on_error": {"default": 7}, "output_key": "y"},
        ),
        {},
        "ab",
    ),
    Pinned(
        "a when on the join sees both branches",
        _spec(
            [_edge("a", "b c"), _edge("b", "d"), _edge("c", "d")],
            "abcd",
            b={"writes": {"tokens_used": 2}},
            c={"writes": {"tokens_used": 3}},
            d={"when": "tokens_used == 5"},
        ),
        {},
        "abcd",
    ),
    Pinned(
        "an any join after a router",
        _spec(
            [_edge("a", "b c", "intent"), _edge("b", "d"), _edge("c", "d")],
            "abcd",
            d={"join": "any"},
        ),
        {"intent": "b"},
        "abd",
    ),
    Pinned(
        "a skipped node feeding an any join that another opened",
        _spec(
            [_edge("a", "b c"), _edge("b", "d"), _edge("c", "d", "false"), _edge("d", "e")],
            "abcde",
            d={"join": "any"},
        ),
        {},
        "abcde",
    ),
)
