"""Where the database and the cache are, and how patiently they are used. Read once, frozen."""

from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class StorageSettings(BaseSettings):
    """Settings of `libs/storage`; times in seconds."""

    model_config = SettingsConfigDict(
        env_prefix="AGENTFLOW_STORAGE_", frozen=True, populate_by_name=True, extra="ignore"
    )

    database_url: str = Field(
        default="sqlite:///.agentflow/agentflow.db",
        validation_alias=AliasChoices("AGENTFLOW_DATABASE_URL", "DATABASE_URL"),
        description="sqlite:///path or postgresql://user:password@host/name",
        repr=False,
    )
    redis_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("AGENTFLOW_REDIS_URL", "REDIS_URL"),
        description="redis://host:port/0 (Valkey or Redis); none: a local cache",
        repr=False,
    )
    api_key_pepper: SecretStr = Field(
        default=SecretStr(""),
        validation_alias=AliasChoices("AGENTFLOW_API_KEY_PEPPER"),
        description="mixed into every stored key hash; the same for all processes, kept for ever",
    )
    pool_size: int = Field(default=5, ge=1, description="connections kept open")
    pool_overflow: int = Field(default=10, ge=0, description="further connections under load")
    pool_timeout: float = Field(default=5.0, gt=0, description="wait for a free connection")
    connect_timeout: float = Field(default=5.0, gt=0)
    statement_timeout: float = Field(default=30.0, gt=0, description="longest single statement")
    busy_timeout: float = Field(default=10.0, gt=0, description="SQLite: wait for another writer")
    sqlite_synchronous: Literal["FULL", "NORMAL"] = Field(
        default="FULL", description="SQLite: FULL survives a power cut, NORMAL a killed process"
    )
    cache_entries: int = Field(default=10_000, ge=1, description="entries of the local cache")
    cache_timeout: float = Field(default=0.5, gt=0, description="longest wait for the cache server")
    cache_retry: float = Field(
        default=5.0, gt=0, description="a cache server that failed is asked again after this"
    )
