"""Secrets are references, and every reference is bound to a place.

A spec names a secret; it resolves here, in the worker, only if the operator listed the name
for that tenant, and only towards the hosts bound to it. Everything else is
`secret_not_found`, whether the variable exists or not. Values are never logged nor put into
an error.

The list is `AGENTFLOW_SECRETS_<TENANT>` (tenant in capitals), names separated by commas:

    OPENAI_API_KEY                    a well-known name: only towards its provider's hosts
    SHOP_DSN                          a DSN (it holds its host itself), or towards loopback
    VLLM_KEY@llm.example.com          only towards this host
    VLLM_KEY@llm.example.com:8443     … and this port
    VLLM_KEY@*                        anywhere
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from agentflow.contracts.errors import BadInput, NodeFailed
from agentflow.contracts.ids import DEFAULT_TENANT

LIST_PREFIX: Final = "AGENTFLOW_SECRETS_"
REFERENCE: Final = "secret://"

WELL_KNOWN: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "OPENAI_API_KEY": ("api.openai.com",),
        "ANTHROPIC_API_KEY": ("api.anthropic.com",),
        "GOOGLE_API_KEY": ("generativelanguage.googleapis.com",),
        "GEMINI_API_KEY": ("generativelanguage.googleapis.com",),
        "GROQ_API_KEY": ("api.groq.com",),
        "MISTRAL_API_KEY": ("api.mistral.ai",),
        "DEEPSEEK_API_KEY": ("api.deepseek.com",),
        "OPENROUTER_API_KEY": ("openrouter.ai",),
    }
)
"""Provider names the default tenant may use without a list, and where each key may go."""


@dataclass(frozen=True)
class Grant:
    """One entry of a tenant's list: a name and, where bound, the only place it may go to."""

    name: str
    host: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, entry: str) -> "Grant":
        """Read `NAME`, `NAME@host` or `NAME@host:port`; raises ValueError."""
        name, _, place = entry.strip().partition("@")
        parts = urlsplit(f"//{place}")
        return cls(name, parts.hostname, parts.port)

    def reaches(self, host: str, port: int | None) -> bool:
        """Whether the secret may travel to `host`."""
        if self.host == "*":
            return True
        if self.host is None:
            return host in WELL_KNOWN.get(self.name, ()) or (
                self.name not in WELL_KNOWN and _is_loopback(host)
            )
        return self.host == host and self.port in (None, port)


class Secrets:
    """Resolves references of tenants against an environment."""

    def __init__(
        self, environ: Mapping[str, str], *, well_known_for: tuple[str, ...] = (DEFAULT_TENANT,)
    ) -> None:
        """`well_known_for`: tenants that may use the well-known names without a list.

        Raises BadInput for a list that cannot be read.
        """
        self._environ = environ
        self._well_known_for = well_known_for
        self._lists = {
            name.removeprefix(LIST_PREFIX): _read_list(name, text)
            for name, text in environ.items()
            if name.startswith(LIST_PREFIX)
        }

    def for_host(self, tenant: str, reference: str, host: str, port: int | None = None) -> str:
        """The secret, to be sent to `host`; raises NodeFailed `secret_not_found`."""
        name = _name(reference)
        host = host.lower().rstrip(".")
        granted = [g for g in self._grants(tenant) if g.name == name]
        if any(g.reaches(host, port) for g in granted) and (value := self._environ.get(name)):
            return value
        raise self._not_found(tenant, name, f"towards {host}", f"{name}@{host}")

    def dsn(self, tenant: str, reference: str) -> str:
        """A connection string that names its own host; raises NodeFailed `secret_not_found`."""
        name = _name(reference)
        listed = any(
            g.name == name and g.host is None and name not in WELL_KNOWN
            for g in self._grants(tenant)
        )
        if listed and (value := self._environ.get(name)):
            return value
        raise self._not_found(tenant, name, "as a connection string", name)

    def _grants(self, tenant: str) -> list[Grant]:
        # Two tenants must never share a list: capitals would make `Acme` and `acme` one.
        if tenant != tenant.lower():
            return []
        listed = self._lists.get(tenant.upper())
        if listed is not None:
            return listed
        return [Grant(name) for name in WELL_KNOWN] if tenant in self._well_known_for else []

    def _not_found(self, tenant: str, name: str, use: str, entry: str) -> NodeFailed:
        return NodeFailed(
            "secret_not_found",
            f"No secret {name!r} may be used {use} by tenant {tenant!r}.",
            hint=(
                f"The operator sets {name} in the worker's environment and lists {entry!r} in "
                f"{LIST_PREFIX}{tenant.upper()}."
            ),
        )


def _read_list(name: str, text: str) -> list[Grant]:
    try:
        return [Grant.parse(entry) for entry in text.split(",") if entry.strip()]
    except ValueError as error:
        raise BadInput(
            f"{name} cannot be read: {error}.", hint="Write NAME, NAME@host or NAME@host:port."
        ) from None


def _name(reference: str) -> str:
    return reference.removeprefix(REFERENCE)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
