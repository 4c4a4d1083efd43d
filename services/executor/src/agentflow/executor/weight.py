"""How much one execution weighs: the sizes of all values it keeps by reference.

Over the limit, the node that brought it over fails with payload_too_large. The sum follows
the log, so a replay comes to the same verdict.
"""

from agentflow.bus.values import find_refs
from agentflow.contracts.events import NodeCompleted, NodeEvent, NodeFailed
from agentflow.contracts.problem import NodeError


class Weight:
    """Sums references in log order."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._seen: set[str] = set()

    def add(self, value: object) -> None:
        """Count what the initial state brings along."""
        for ref in find_refs(value):
            if ref["$ref"] not in self._seen:
                self._seen.add(ref["$ref"])
                self._bytes += ref["size"]

    def judge(self, event: NodeEvent) -> NodeEvent:
        """The event itself, or the failure it becomes when it brings the sum over the limit."""
        if not isinstance(event, NodeCompleted):
            return event
        self.add(event.output)
        if event.writes:
            self.add(event.writes)
        if self._bytes <= self._limit:
            return event
        return NodeFailed(
            **event.model_dump(include=set(NodeEvent.model_fields)),
            error=NodeError(
                code="payload_too_large",
                message=(
                    f"With the output of node {event.node_id!r} the execution would keep "
                    f"{self._bytes:,} bytes; at most {self._limit:,} are allowed."
                ),
                node_id=event.node_id,
                attempt=event.attempt,
            ),
        )
