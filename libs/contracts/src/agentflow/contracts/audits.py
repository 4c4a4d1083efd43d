"""Who did what. Published to AUDIT; the audit service keeps them append-only."""

from typing import Any, ClassVar

from pydantic import AwareDatetime, Field

from agentflow.contracts.ids import TenantId
from agentflow.contracts.message import Message, StreamName


class AuditRecord(Message):
    """One deed: `resource.verb`, e.g. `workflow.executed`, `auth.failed`."""

    SUBJECT: ClassVar[str] = "audit.{tenant}.{resource}.{verb}"
    STREAM: ClassVar[StreamName | None] = "AUDIT"

    tenant: TenantId
    resource: str
    verb: str
    occurred_at: AwareDatetime
    actor: str | None = None
    resource_id: str | None = None
    request_id: str | None = None
    client_address: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class DeadLetter(Message):
    """What could not be processed, with the reason and where it came from."""

    SUBJECT: ClassVar[str] = "dead.{tenant}.{origin_stream}"
    STREAM: ClassVar[StreamName | None] = "DEAD"

    tenant: TenantId
    origin_stream: str
    origin_subject: str
    origin_sequence: int | None = None
    deliveries: int = 1
    code: str
    reason: str
    occurred_at: AwareDatetime
    headers: dict[str, str] = Field(default_factory=dict)
    payload_base64: str = Field(description="the message as it came, base64")


class TokenDelta(Message):
    """A piece of an LLM's answer while it streams. Core NATS: lossy, never stored."""

    SUBJECT: ClassVar[str] = "tokens.{tenant}.{execution_id}.{node_id}"
    STREAM: ClassVar[StreamName | None] = None

    tenant: TenantId
    execution_id: str
    node_id: str
    index: int
    text: str
