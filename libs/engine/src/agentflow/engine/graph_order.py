"""Order in a directed graph of numbered nodes: ranks, cycles, ancestors, descendants.

A rank is the length of the longest way in. Sets of nodes are int bitmasks, so that asking
"which of these are ancestors" costs one machine operation per 64 nodes. Nothing recurses:
a chain of 10,000 nodes is an ordinary graph.
"""

from collections.abc import Iterator, Sequence

Followers = Sequence[Sequence[int]]
"""For each node, the nodes its edges lead to (a node may appear more than once)."""


def ranks(followers: Followers) -> list[int] | None:
    """The topological rank of each node; None when there is a cycle."""
    count = len(followers)
    incoming = [0] * count
    for targets in followers:
        for target in targets:
            incoming[target] += 1
    rank = [0] * count
    ready = [node for node in range(count) if not incoming[node]]
    done = 0
    while ready:
        node = ready.pop()
        done += 1
        after = rank[node] + 1
        for target in followers[node]:
            if rank[target] < after:
                rank[target] = after
            incoming[target] -= 1
            if not incoming[target]:
                ready.append(target)
    return rank if done == count else None


def find_cycle(followers: Followers) -> list[int]:
    """The nodes of one cycle in order, empty when there is none."""
    colour = bytearray(len(followers))  # 0 unseen, 1 on the way, 2 done
    for root in range(len(followers)):
        if colour[root]:
            continue
        path, ways = [root], [iter(followers[root])]
        colour[root] = 1
        while path:
            target = next(ways[-1], None)
            if target is None:
                colour[path.pop()] = 2
                ways.pop()
            elif colour[target] == 1:
                return path[path.index(target) :]
            elif not colour[target]:
                colour[target] = 1
                path.append(target)
                ways.append(iter(followers[target]))
    return []


class TooLarge(Exception):
    """The ancestor sets would not fit."""


def ancestors(followers: Followers, max_bytes: int) -> list[int]:
    """For each node the bitmask of its ancestors. Nodes must be numbered in topological order.

    Raises TooLarge when the masks together pass `max_bytes`: a chain of n nodes takes n²/16 bytes.
    """
    masks = [0] * len(followers)
    used = 0
    for node, targets in enumerate(followers):
        used += masks[node].bit_length() >> 3
        if used > max_bytes:
            raise TooLarge(f"{node} of {len(followers)} nodes fill {max_bytes:,} bytes.")
        through = masks[node] | (1 << node)
        for target in targets:
            masks[target] |= through
    return masks


def descendants(followers: Followers) -> list[int]:
    """For each node the bitmask of its descendants. Nodes must be in topological order."""
    masks = [0] * len(followers)
    for node in range(len(followers) - 1, -1, -1):
        mask = 0
        for target in followers[node]:
            mask |= masks[target] | (1 << target)
        masks[node] = mask
    return masks


def bits(mask: int) -> Iterator[int]:
    """The numbers of the nodes in a bitmask, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
