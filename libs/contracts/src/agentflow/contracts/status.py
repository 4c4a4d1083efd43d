"""The states an execution and a node pass through. Terminal ones never change."""

from enum import StrEnum


class ExecutionStatus(StrEnum):
    """PENDING → RUNNING → one of the four terminal states."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def is_terminal(self) -> bool:
        return self not in (ExecutionStatus.PENDING, ExecutionStatus.RUNNING)


class NodeStatus(StrEnum):
    """PENDING → QUEUED → RUNNING → one of the five terminal states."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"

    @property
    def is_terminal(self) -> bool:
        return self not in (NodeStatus.PENDING, NodeStatus.QUEUED, NodeStatus.RUNNING)
