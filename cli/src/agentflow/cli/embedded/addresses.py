"""Where the parts of a running stack answer, and how that is told to a service."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Addresses:
    """All on loopback. `redis_url` is None where there is no Valkey for this machine."""

    gateway_url: str
    nats_url: str
    database_url: str
    redis_url: str | None
    api_key: str

    @property
    def gateway_port(self) -> int:
        return int(self.gateway_url.rsplit(":", 1)[1])

    def environment(self) -> dict[str, str]:
        """The variables a service process reads."""
        variables = {
            "AGENTFLOW_NATS_URL": self.nats_url,
            "AGENTFLOW_DATABASE_URL": self.database_url,
            "AGENTFLOW_GATEWAY_HOST": "127.0.0.1",
            "AGENTFLOW_GATEWAY_PORT": str(self.gateway_port),
        }
        if self.redis_url is not None:
            variables["AGENTFLOW_REDIS_URL"] = self.redis_url
        return variables
