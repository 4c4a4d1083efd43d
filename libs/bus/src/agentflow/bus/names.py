"""What everything on the server is called. Nobody spells a stream name elsewhere."""

from agentflow.contracts.message import StreamName

EXECUTOR = "executor"
VALIDATOR = "validator"
CANCELLER = "canceller"
HISTORY = "history"
AUDIT = "audit"
AUDIT_RECORDS = "audit_records"


def stream_name(prefix: str, stream: StreamName) -> str:
    """E.g. `agentflow_EVENTS`."""
    return f"{prefix}_{stream}"


def pool_durable(pool: str) -> str:
    """The durable consumer of a worker pool."""
    return f"pool_{pool}"


def bucket_name(prefix: str, bucket: str) -> str:
    """Name of a key-value or object bucket, e.g. `agentflow_values`."""
    return f"{prefix}_{bucket}"


VALUES = "values"
DEFINITIONS = "definitions"
IDEMPOTENCY = "idempotency"

LIVE = "live"
"""Second token of the live feed: events are republished there after they are stored."""


def live_subject(prefix: str, event_subject: str) -> str:
    """`agentflow.events.t.e.…` → `agentflow.live.t.e.…`."""
    return f"{prefix}.{LIVE}.{event_subject.split('.', 2)[2]}"


def event_subject(prefix: str, live: str) -> str:
    """The inverse of `live_subject`."""
    return f"{prefix}.events.{live.split('.', 2)[2]}"
