"""Time and ids enter the gateway here."""

from datetime import UTC, datetime

from uuid_utils import uuid7

from agentflow.contracts.ids import ExecutionId


def utc_now() -> datetime:
    """The time messages carry."""
    return datetime.now(UTC)


def new_execution_id() -> ExecutionId:
    """`exec_` and a UUIDv7 in hex: sorts by time of creation."""
    return ExecutionId(f"exec_{uuid7().hex}")
