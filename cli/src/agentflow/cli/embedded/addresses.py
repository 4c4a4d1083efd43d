"""Where the parts of a running stack answer, and how that is told to a service."""

from dataclasses import dataclass

from pydantic import SecretStr

from agentflow.cli.embedded.environment import missing_from

AT_HOME = {
    # Different at home, unless whoever starts the stack says otherwise.
    # A workflow may call a server on the developer's own machine; in production it may not.
    "AGENTFLOW_WORKERS_EGRESS_ALLOW": "loopback",
}


@dataclass(frozen=True)
class Addresses:
    """All on loopback. `redis_url` is None where there is no Valkey for this machine."""

    gateway_url: str
    nats_url: str
    database_url: str
    redis_url: str | None
    api_key: str
    api_key_pepper: SecretStr
    durability: str = "default"

    @property
    def gateway_port(self) -> int:
        return int(self.gateway_url.rsplit(":", 1)[1])

    def environment(self) -> dict[str, str]:
        """The variables a service process reads."""
        variables = {
            "AGENTFLOW_NATS_URL": self.nats_url,
            "AGENTFLOW_DATABASE_URL": self.database_url,
            "AGENTFLOW_API_KEY_PEPPER": self.api_key_pepper.get_secret_value(),
            "AGENTFLOW_BUS_DURABILITY": self.durability,
            "AGENTFLOW_GATEWAY_HOST": "127.0.0.1",
            "AGENTFLOW_GATEWAY_PORT": str(self.gateway_port),
        }
        if self.redis_url is not None:
            variables["AGENTFLOW_REDIS_URL"] = self.redis_url
        return {**missing_from(AT_HOME), **variables}
