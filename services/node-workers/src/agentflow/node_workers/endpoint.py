"""The address a source names: an http or https URL without credentials."""

import httpx2

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.spec import Source


def read_url(source: Source, text: str) -> httpx2.URL:
    """A base URL; raises NodeFailed `invalid_request`."""
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        url = httpx2.URL("")
    if url.scheme not in ("http", "https") or not url.host:
        raise NodeFailed(
            "invalid_request",
            f"The base_url of the source {source.id!r} is not an http or https URL.",
        )
    if url.userinfo:
        raise NodeFailed(
            "invalid_request",
            f"The base_url of the source {source.id!r} holds a user name or password.",
            hint="Name the secret with api_key_env, username_env or password_env.",
        )
    return url


def port_of(url: httpx2.URL) -> int:
    """The port, also where the URL leaves it to the scheme."""
    return url.port or (443 if url.scheme == "https" else 80)


def same_place(one: httpx2.URL, other: httpx2.URL) -> bool:
    """Whether both have the same scheme, host and port."""
    return (one.scheme, one.host, port_of(one)) == (other.scheme, other.host, port_of(other))
