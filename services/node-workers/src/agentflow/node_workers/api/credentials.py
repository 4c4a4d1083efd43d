"""How an api source proves who we are: headers made of secrets, bound to the source's host."""

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import httpx2

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.spec import Source
from agentflow.node_workers.endpoint import port_of
from agentflow.node_workers.secrets import Secrets

Resolve = Callable[[str], str]
DEFAULT_KEY_HEADER: Final = "X-API-Key"


def credentials_of(
    secrets: Secrets, tenant: str, source: Source, url: httpx2.URL
) -> dict[str, str]:
    """The headers for `url`; raises NodeFailed `secret_not_found` or `unsupported_auth`."""
    config = source.config
    method = config.get("auth_method") or config.get("auth_type")
    if method is None:
        method = "api_key" if "api_key_env" in config else "none"

    def resolve(setting: str) -> str:
        reference = config.get(setting)
        if not isinstance(reference, str) or not reference:
            raise NodeFailed(
                "invalid_request",
                f"The source {source.id!r} has no {setting}, which {method!r} needs.",
            )
        return secrets.for_host(tenant, reference, url.host, port_of(url))

    if method == "api_key":
        return {str(config.get("api_key_header", DEFAULT_KEY_HEADER)): resolve("api_key_env")}
    make = _METHODS.get(str(method).lower())
    if make is None:
        raise NodeFailed(
            "unsupported_auth",
            f"The source {source.id!r} names the auth_method {str(method)[:40]!r}.",
            hint=f"Known here: api_key, {', '.join(sorted(_METHODS))}.",
        )
    return make(resolve)


def _bearer(resolve: Resolve) -> dict[str, str]:
    return {"Authorization": f"Bearer {resolve('token_env')}"}


def _basic(resolve: Resolve) -> dict[str, str]:
    pair = f"{resolve('username_env')}:{resolve('password_env')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}


def _none(_resolve: Resolve) -> dict[str, str]:
    return {}


_METHODS: Mapping[str, Callable[[Resolve], dict[str, str]]] = MappingProxyType(
    {"bearer": _bearer, "basic": _basic, "none": _none}
)
