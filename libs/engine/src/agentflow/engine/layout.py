"""Where to draw the nodes of a layered graph: one row per rank, few crossings, no overlaps.

Edges that pass rows on their way get a place of their own in each, so that no line runs through
a box. Rows are ordered by the middle of their neighbours, sweeping down and up a few times.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

Point = tuple[float, int]
"""Column (boxes apart, may be a fraction) and row."""

SWEEPS: Final = 4
MAX_BENDS: Final = 20_000
"""Above that many passing places, long edges are drawn straight."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`places` of the nodes, `ways` of the edges (from the source through bends to the target)."""

    places: tuple[Point, ...]
    ways: tuple[tuple[Point, ...], ...]
    columns: float
    rows: int


def lay_out(rank: Sequence[int], edges: Sequence[tuple[int, int]]) -> Layout:
    """Places for nodes with these ranks; every edge leads to a higher rank."""
    ranks = list(rank)
    chains = _chains(ranks, edges)
    rows: list[list[int]] = [[] for _ in range(max(ranks) + 1)]
    for item, row in enumerate(ranks):
        rows[row].append(item)
    above: list[list[int]] = [[] for _ in ranks]
    below: list[list[int]] = [[] for _ in ranks]
    for chain in chains:
        for upper, lower in itertools.pairwise(chain):
            below[upper].append(lower)
            above[lower].append(upper)
    for _ in range(SWEEPS):
        _sweep(rows, above)
        _sweep(rows[::-1], below)
    _sweep(rows, above)
    columns = max(len(row) for row in rows)
    place: list[Point] = [(0.0, 0)] * len(ranks)
    for number, items in enumerate(rows):
        start = (columns - len(items)) / 2
        for column, item in enumerate(items):
            place[item] = (start + column, number)
    return Layout(
        places=tuple(place[: len(rank)]),
        ways=tuple(tuple(place[item] for item in chain) for chain in chains),
        columns=columns,
        rows=len(rows),
    )


def _chains(ranks: list[int], edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Each edge as source, bends, target. The bends are added to `ranks` as items of their own."""
    bends = sum(ranks[target] - ranks[source] - 1 for source, target in edges)
    chains = []
    for source, target in edges:
        chain = [source]
        if bends <= MAX_BENDS:
            for row in range(ranks[source] + 1, ranks[target]):
                chain.append(len(ranks))
                ranks.append(row)
        chains.append([*chain, target])
    return chains


def _sweep(rows: list[list[int]], neighbours: list[list[int]]) -> None:
    """Order each row by the mean position of its items' neighbours in the rows before it."""
    position: dict[int, float] = {}
    for row in rows:
        middle = {
            item: sum(known) / len(known)
            for item in row
            if (known := [position[n] for n in neighbours[item] if n in position])
        }
        half = (len(row) - 1) / 2
        kept = {item: column - half for column, item in enumerate(row)}
        row.sort(key={**kept, **middle}.__getitem__)
        for column, item in enumerate(row):
            position[item] = column - half
