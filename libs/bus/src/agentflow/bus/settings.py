"""How to reach the bus and how large its streams may grow. Read once, frozen."""

from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentflow.contracts.spec import NODE_TYPES

MEBIBYTE = 1024 * 1024


class BusSettings(BaseSettings):
    """Settings of `libs/bus`; sizes in MiB, times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="AGENTFLOW_BUS_", frozen=True, populate_by_name=True, extra="ignore"
    )

    nats_url: str = Field(
        default="nats://127.0.0.1:4222",
        validation_alias=AliasChoices("AGENTFLOW_NATS_URL", "NATS_URL"),
        description="one or several servers, separated by commas",
    )
    prefix: str = Field(
        default="agentflow",
        pattern=r"^[A-Za-z0-9_-]{1,32}$",
        description="first token of every subject and of every stream name",
    )
    replicas: Literal[1, 3, 5] = 1
    durability: Literal["default", "fsync"] = Field(
        default="default",
        description="fsync: refuse to start unless the server syncs every write",
    )
    pools: tuple[str, ...] = Field(
        default=NODE_TYPES, description="worker pools that get a durable consumer"
    )
    connect_timeout: float = Field(default=5.0, gt=0)
    events_max_age: float = Field(default=7 * 86400, gt=0)
    commands_max_mib: int = Field(default=1024, gt=0)
    tasks_max_mib: int = Field(default=2048, gt=0)
    events_max_mib: int = Field(default=8192, gt=0)
    audit_max_mib: int = Field(default=512, gt=0)
    dead_max_mib: int = Field(default=512, gt=0)
    values_max_mib: int = Field(default=8192, gt=0)
    command_ack_wait: float = Field(
        default=10.0, ge=1, description="lease of an executor on an execution"
    )
    task_ack_wait: float = Field(
        default=30.0, ge=1, description="lease of a worker on a task; renewed while it works"
    )
    max_in_flight: int = Field(
        default=100_000, ge=1, description="executions handed to executors and not yet ended"
    )

    @property
    def servers(self) -> list[str]:
        return [url.strip() for url in self.nats_url.split(",") if url.strip()]
