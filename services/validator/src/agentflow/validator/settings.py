"""Settings of the validator. Read once, frozen; sizes in MiB."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ValidatorSettings(BaseSettings):
    """How much one validator takes on."""

    model_config = SettingsConfigDict(
        env_prefix="AGENTFLOW_VALIDATOR_", frozen=True, extra="ignore"
    )

    slots: int = Field(default=16, ge=1, description="questions in hand at once")
    cache_entries: int = Field(default=512, ge=0, description="reports kept by content hash")
    compile_nodes: int = Field(
        default=300, ge=0, description="specs up to this many nodes are compiled by LangGraph too"
    )
    max_command_mib: float = Field(default=8.0, gt=0)
    max_issues: int = Field(default=1000, ge=1, description="errors and warnings told at once")
    grace: float = Field(
        default=5.0, ge=0, description="for questions in hand at shutdown, seconds"
    )
