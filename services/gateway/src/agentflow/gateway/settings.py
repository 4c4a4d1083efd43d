"""Every setting of the gateway, read once from the environment and frozen."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class GatewaySettings(BaseSettings):
    """Environment names are `AGENTFLOW_GATEWAY_` and the field in capitals."""

    model_config = SettingsConfigDict(env_prefix="AGENTFLOW_GATEWAY_", frozen=True)

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=8000, ge=0, le=65535, description="port; 0 picks a free one")
    max_body_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="largest request body accepted, bytes"
    )
    max_drain_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=0,
        description="how much of a refused body is read before the answer, bytes",
    )
    body_timeout_seconds: float = Field(
        default=30.0, gt=0, description="longest silence while a body arrives, seconds"
    )
    max_json_depth: int = Field(default=100, ge=1, description="deepest nesting of a body, levels")
    default_wait_seconds: float = Field(
        default=30.0, ge=0, le=300, description="sync wait when the request names none, seconds"
    )
    log_check_seconds: float = Field(
        default=5.0, gt=0, description="a sync wait looks into the log this often, seconds"
    )
    cancel_wait_seconds: float = Field(
        default=1.0, ge=0, description="how long a cancel waits for its effect, seconds"
    )
    bus_timeout_seconds: float = Field(
        default=2.0, gt=0, description="a publish unacknowledged for so long is 503, seconds"
    )
    validator_timeout_seconds: float = Field(
        default=2.0,
        gt=0,
        description="execute goes on without the validator's answer after this, seconds",
    )
    validate_timeout_seconds: float = Field(
        default=10.0, gt=0, description="/workflows/validate answers 503 after this, seconds"
    )
    validation_cache_entries: int = Field(
        default=1024, ge=0, description="valid specs remembered by content hash, entries"
    )
    key_cache_seconds: float = Field(
        default=30.0, ge=0, description="a verified API key is believed this long, seconds"
    )
    key_cache_entries: int = Field(
        default=10_000, ge=1, description="verified API keys remembered, entries"
    )
    auth_failures_per_minute: float = Field(
        default=60.0, gt=0, description="audit records of failed authentication, per minute"
    )
    sse_keepalive_seconds: float = Field(
        default=15.0, gt=0, description="a comment keeps idle event streams open, seconds"
    )
    max_event_streams: int = Field(
        default=1000, ge=1, description="event streams open at once in this process"
    )
    resolve_limit_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=0,
        description="large values put into one response; beyond that references stay, bytes",
    )
    database_timeout_seconds: float = Field(
        default=10.0, gt=0, description="a read unanswered by the database for so long is 503"
    )
    start_patience: float = Field(
        default=30.0, ge=0, description="how long to wait for the database at the start, seconds"
    )
    shutdown_grace_seconds: int = Field(
        default=30, ge=0, description="open requests may finish for so long, seconds"
    )
