"""One HTTP/1.1 connection that must survive: whoever answers and hangs up is found out."""

import asyncio
import http.client
import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Body = bytes | Iterable[bytes]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    data: bytes

    def json(self) -> Any:
        return json.loads(self.data)


class KeptConnection:
    """Sends raw requests over one socket; AssertionError when the server closes it."""

    def __init__(self, url: str, api_key: str | None) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self._connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
        self._connection.connect()
        self._socket: socket.socket = self._connection.sock
        self._api_key = api_key

    async def post(self, path: str, body: Body, **headers: str) -> Answer:
        """POST `body` as it is; an iterable of bytes is sent chunked, without a length."""
        told = {"content-type": "application/json"} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        return await asyncio.to_thread(self._ask, "POST", path, body, told)

    async def get(self, path: str, **headers: str) -> Answer:
        return await asyncio.to_thread(self._ask, "GET", path, None, _spelled(headers))

    def close(self) -> None:
        self._connection.close()

    def _ask(self, method: str, path: str, body: Body | None, told: Mapping[str, str]) -> Answer:
        headers = dict(told)
        if self._api_key is not None:
            headers.setdefault("x-api-key", self._api_key)
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            headers["transfer-encoding"] = "chunked"
        self._connection.request(method, path, body, headers, encode_chunked=chunked)
        response = self._connection.getresponse()
        data = response.read()
        assert self._connection.sock is self._socket, f"closed by the server after {method} {path}"
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, data)


def _spelled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
