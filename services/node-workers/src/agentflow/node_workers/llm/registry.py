"""Which provider a source means, where it lives and which key goes there."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.spec import Source
from agentflow.node_workers.egress.network import make_client
from agentflow.node_workers.egress.policy import EgressPolicy
from agentflow.node_workers.endpoint import port_of, read_url
from agentflow.node_workers.llm.demo import DemoProvider
from agentflow.node_workers.llm.provider import LlmProvider
from agentflow.node_workers.secrets import Secrets

if TYPE_CHECKING:
    from agentflow.node_workers.llm.openai import OpenAIProvider

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
CONNECT_TIMEOUT: Final = 30.0
NO_KEY: Final = "no-key-needed"


@dataclass(frozen=True)
class Endpoint:
    """Where a provider that speaks OpenAI's protocol lives, and the usual name of its key."""

    base_url: str
    api_key_env: str | None


OPENAI_LIKE: Final[Mapping[str, Endpoint]] = MappingProxyType(
    {
        "openai": Endpoint("https://api.openai.com/v1", "OPENAI_API_KEY"),
        "groq": Endpoint("https://api.groq.com/openai/v1", "GROQ_API_KEY"),
        "ollama": Endpoint("http://127.0.0.1:11434/v1", None),
    }
)

MakeProvider = Callable[[str, Source], Awaitable[LlmProvider]]


class LlmProviders:
    """Makes the provider a source names in `config.provider`."""

    def __init__(self, secrets: Secrets, policy: EgressPolicy, tls: ssl.SSLContext) -> None:
        self._secrets = secrets
        self._policy = policy
        self._tls = tls
        self._makers: dict[str, MakeProvider] = {
            "demo": _demo,
            **dict.fromkeys(OPENAI_LIKE, self._openai),
        }

    async def make(self, tenant: str, source: Source) -> LlmProvider:
        """A provider for `source`; raises NodeFailed for what it cannot be made of."""
        name = str(source.config.get("provider", "openai")).lower()
        maker = self._makers.get(name)
        if maker is None:
            raise NodeFailed(
                "unsupported_provider",
                f"The source {source.id!r} names the provider {name!r}.",
                hint=f"Known here: {', '.join(sorted(self._makers))}.",
            )
        return await maker(tenant, source)

    async def _openai(self, tenant: str, source: Source) -> LlmProvider:
        # The SDK takes a second to import: not while the loop should renew leases.
        make_provider = await asyncio.to_thread(_openai_class)
        config = source.config
        name = str(config.get("provider", "openai")).lower()
        endpoint = OPENAI_LIKE[name]
        url = read_url(source, str(config.get("base_url") or endpoint.base_url))
        reference = config.get("api_key_env")
        if reference is None and not config.get("base_url"):
            reference = endpoint.api_key_env
        key = NO_KEY
        if reference is not None:
            key = self._secrets.for_host(tenant, str(reference), url.host, port_of(url))
        client = make_client(
            self._policy,
            self._tls,
            max_body_bytes=MAX_ANSWER_BYTES,
            timeout=CONNECT_TIMEOUT,
        )
        return make_provider(
            name=name, source_id=source.id, base_url=url, api_key=key, http_client=client
        )


async def _demo(_tenant: str, source: Source) -> LlmProvider:
    return DemoProvider(source)


def _openai_class() -> "type[OpenAIProvider]":
    import genai_prices  # noqa: F401 - its data is large as well, and the answer needs it

    from agentflow.node_workers.llm.openai import OpenAIProvider

    return OpenAIProvider
