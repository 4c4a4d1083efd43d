"""Settings of the executor. Read once, frozen; times in seconds."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentflow.contracts.state import EXECUTION_LIMIT_BYTES


class ExecutorSettings(BaseSettings):
    """How much one executor takes on, and the limits it holds executions to."""

    model_config = SettingsConfigDict(env_prefix="AGENTFLOW_EXECUTOR_", frozen=True, extra="ignore")

    slots: int = Field(default=10_000, ge=1, description="executions in flight at once")
    max_parallel_nodes: int = Field(
        default=64, ge=1, description="running nodes of one execution (MAX_PARALLEL_NODES)"
    )
    default_timeout: float = Field(
        default=3600.0, gt=0, description="of an execution whose spec and command name none"
    )
    watchdog: float = Field(
        default=20.0, gt=0, description="a quiet execution re-reads its log this often"
    )
    execution_limit_bytes: int = Field(default=EXECUTION_LIMIT_BYTES, ge=1)
    plan_cache: int = Field(default=500, ge=1, description="compiled workflows kept")
    max_command_mib: float = Field(default=8.0, gt=0)
    grace: float = Field(default=5.0, ge=0, description="for running executions at shutdown")
    sweep_every: float = Field(default=30.0, gt=0)
