"""Every setting of history, read once from the environment and frozen."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class HistorySettings(BaseSettings):
    """Environment names are `AGENTFLOW_HISTORY_` and the field in capitals; times in seconds."""

    model_config = SettingsConfigDict(env_prefix="AGENTFLOW_HISTORY_", frozen=True, extra="ignore")

    max_batch: int = Field(default=500, ge=1, le=5000, description="events in one transaction")
    max_wait: float = Field(
        default=0.1, ge=0, le=5, description="how long a batch waits to be filled"
    )
    ack_wait: float = Field(default=10.0, ge=1, description="lease on a batch; renewed")
    write_timeout: float = Field(
        default=15.0, gt=0, description="a transaction that takes longer is given up and repeated"
    )
    retry_max: float = Field(
        default=2.0, gt=0, description="longest pause between tries while the database is down"
    )
    start_patience: float = Field(
        default=30.0, ge=0, description="how long a start waits for the database to answer"
    )
