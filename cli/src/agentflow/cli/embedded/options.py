"""What can be chosen about an embedded stack."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agentflow.cli.embedded.nats_server import Durability
from agentflow.cli.errors import InvalidInput

DEFAULT_GATEWAY_PORT = 8000
DEFAULT_NATS_PORT = 4222
DEFAULT_VALKEY_PORT = 6379


class StackOptions(BaseModel):
    """Ports are preferences: a taken one is replaced by a free one. 0 means any."""

    model_config = ConfigDict(frozen=True)

    directory: Path = Field(default=Path(), description="`.agentflow` is made in here")
    split: bool = Field(default=False, description="one process per service")
    executors: int = Field(default=1, ge=1)
    workers: int = Field(default=1, ge=1)
    gateway_port: int = Field(default=DEFAULT_GATEWAY_PORT, ge=0, le=65535)
    nats_port: int = Field(default=DEFAULT_NATS_PORT, ge=0, le=65535)
    valkey_port: int = Field(default=DEFAULT_VALKEY_PORT, ge=0, le=65535)
    durability: Durability = "default"
    database_url: str | None = Field(default=None, description="None: SQLite in `.agentflow`")

    @field_validator("durability", mode="before")
    @classmethod
    def _known_durability(cls, value: object) -> object:
        if value not in ("default", "fsync"):
            raise InvalidInput(f"There is no durability {value!r}: say default or fsync.")
        return value
