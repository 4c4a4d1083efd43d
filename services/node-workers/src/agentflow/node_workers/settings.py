"""Every setting of a worker, read once from the environment and frozen."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from agentflow.contracts.ids import DEFAULT_TENANT
from agentflow.contracts.spec import NODE_TYPES

Names = Annotated[tuple[str, ...], NoDecode]
"""In the environment: names separated by commas."""


class WorkersSettings(BaseSettings):
    """Environment names are `AGENTFLOW_WORKERS_` and the field in capitals."""

    model_config = SettingsConfigDict(env_prefix="AGENTFLOW_WORKERS_", frozen=True)

    types: Names = Field(default=NODE_TYPES, description="pools served, separated by commas")
    slots: int = Field(default=64, ge=1, le=10_000, description="nodes run at once, per pool")
    node_timeout_seconds: float = Field(
        default=300.0, gt=0, description="for nodes without timeout_seconds, seconds"
    )
    started_after_seconds: float = Field(
        default=0.25, ge=0, description="node.started is told for nodes that run longer, seconds"
    )
    crash_allowance: int = Field(
        default=3, ge=0, description="deliveries beyond max_attempts before worker_crashed"
    )
    shutdown_grace_seconds: float = Field(
        default=20.0, ge=0, description="running nodes may finish for so long, seconds"
    )
    egress_allow: Names = Field(
        default=(),
        description="private ranges nodes may connect to: CIDRs, or the word loopback",
    )
    sqlite_directories: Names = Field(
        default=(".",),
        description="SQLite files named by `path` must lie below one of these; * for anywhere",
    )
    sqlite_threads: int = Field(
        default=8, ge=1, le=256, description="SQLite queries run at once in this process"
    )
    max_sources: int = Field(
        default=256, ge=1, description="sources with open connections kept in this process"
    )
    well_known_secrets_for: Names = Field(
        default=(DEFAULT_TENANT,),
        description="tenants that may use the well-known provider keys without a list",
    )

    @field_validator(
        "types", "egress_allow", "sqlite_directories", "well_known_secrets_for", mode="before"
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def sqlite_roots(self) -> tuple[Path, ...] | None:
        """Resolved directories; None: anywhere."""
        if "*" in self.sqlite_directories:
            return None
        return tuple(Path(directory).resolve() for directory in self.sqlite_directories)
