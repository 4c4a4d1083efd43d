"""Knots: groups of nodes that all lead to each other. A graph without one has no cycle.

Tarjan's algorithm with a stack of its own, so that a chain of 100,000 nodes is no danger.
Linear in nodes and edges.
"""

from collections.abc import Iterator, Sequence


def knots(followers: Sequence[Sequence[int]]) -> list[set[int]]:
    """The strongly connected components that hold a cycle, by their smallest node."""
    search = _Search(followers)
    for root in range(len(followers)):
        if search.index[root] < 0:
            search.visit(root)
    return sorted(search.found, key=min)


class _Search:
    def __init__(self, followers: Sequence[Sequence[int]]) -> None:
        self.followers = followers
        self.index = [-1] * len(followers)
        self.found: list[set[int]] = []
        self._low = [0] * len(followers)
        self._open = bytearray(len(followers))
        self._stack: list[int] = []
        self._counter = 0

    def visit(self, root: int) -> None:
        """Everything that can be reached from `root` and was not seen before."""
        work = [self._enter(root)]
        while work:
            node, targets = work[-1]
            target = next(targets, None)
            if target is None:
                work.pop()
                self._leave(node, work[-1][0] if work else None)
            elif self.index[target] < 0:
                work.append(self._enter(target))
            elif self._open[target]:
                self._low[node] = min(self._low[node], self.index[target])

    def _enter(self, node: int) -> tuple[int, Iterator[int]]:
        self.index[node] = self._low[node] = self._counter
        self._counter += 1
        self._stack.append(node)
        self._open[node] = 1
        return node, iter(self.followers[node])

    def _leave(self, node: int, parent: int | None) -> None:
        if parent is not None:
            self._low[parent] = min(self._low[parent], self._low[node])
        if self._low[node] != self.index[node]:
            return
        component: set[int] = set()
        while node not in component:
            member = self._stack.pop()
            self._open[member] = 0
            component.add(member)
        if len(component) > 1 or node in self.followers[node]:
            self.found.append(component)
