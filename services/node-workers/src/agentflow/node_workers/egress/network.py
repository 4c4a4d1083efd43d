"""Connections to strangers: resolved once, checked, and made to the checked address.

A name that resolves differently the second time gains nothing: there is no second time.
Redirects are new connections and go through here as well. Proxies and credentials of the
environment are not looked at.
"""

import asyncio
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from agentflow.node_workers.egress.body import BoundedBody
from agentflow.node_workers.egress.policy import EgressPolicy, EgressRefused

ACCEPT_ENCODING = "gzip, deflate"


class GuardedBackend(httpcore2.AnyIOBackend):
    """A network backend that connects to allowed addresses only."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        addresses = await resolve(host, port, timeout)
        self._policy.check(host, addresses)
        failure: Exception | None = None
        for address in addresses:
            try:
                return await super().connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError("no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ARG002 - the backend's signature
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - the backend's signature
    ) -> httpcore2.AsyncNetworkStream:
        raise EgressRefused(path, "Unix sockets are not for nodes")


async def resolve(host: str, port: int, timeout: float | None) -> list[str]:
    """The addresses of `host`, each once, in the resolver's order."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise httpcore2.ConnectError(f"{host} cannot be resolved") from error
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(f"resolving {host} took too long") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """An HTTP transport over the guarded backend, with a cap on decoded body bytes."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        max_body_bytes: int,
        tls: ssl.SSLContext,
        connections: int = 100,
    ) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._max_body_bytes = max_body_bytes
        # httpx2 has no parameter for the backend; the pool it made has opened nothing yet.
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            max_keepalive_connections=20,
            keepalive_expiry=30.0,
            network_backend=GuardedBackend(policy),
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme not in ("http", "https"):
            raise EgressRefused(request.url.host, "only http and https are")
        request.headers["Accept-Encoding"] = ACCEPT_ENCODING
        response = await super().handle_async_request(request)
        body = BoundedBody(response.stream, response.headers, self._max_body_bytes)
        headers = httpx2.Headers(
            [
                (name, value)
                for name, value in response.headers.raw
                if name.lower() not in (b"content-encoding", b"content-length")
            ]
        )
        return httpx2.Response(
            response.status_code, headers=headers, stream=body, extensions=response.extensions
        )


def make_client(
    policy: EgressPolicy,
    tls: ssl.SSLContext,
    *,
    max_body_bytes: int,
    timeout: float,
) -> httpx2.AsyncClient:
    """A guarded client; `timeout` is in seconds per network operation."""
    return httpx2.AsyncClient(
        transport=GuardedTransport(policy, max_body_bytes=max_body_bytes, tls=tls),
        timeout=timeout,
        trust_env=False,
        follow_redirects=False,
    )
