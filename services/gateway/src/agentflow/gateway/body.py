"""Reading a body: the limit comes before the parser, and the refusal reaches its sender.

The edge reads what is left of a refused body before the 413 goes out: see drain.py.
Nothing strange gets in: see strict_json.
"""

import asyncio
from typing import Any, NoReturn

from starlette.requests import Request
from starlette.types import Message

from agentflow.contracts.errors import PayloadTooLarge
from agentflow.contracts.strict_json import JsonLimits, parse_json
from agentflow.gateway.errors import MalformedRequest, UnsupportedMediaType
from agentflow.gateway.settings import GatewaySettings

_THREAD_BYTES = 256 * 1024
"""Longer documents are parsed beside the event loop."""


class ClientLeft(MalformedRequest):
    """The client closed the connection before its body was complete."""

    code = "incomplete_body"


class BodyReader:
    """Reads request bodies under the limits of the settings."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._limit = settings.max_body_bytes
        self._silence = settings.body_timeout_seconds
        self._limits = JsonLimits(
            max_bytes=settings.max_body_bytes, max_depth=settings.max_json_depth
        )

    async def json(self, request: Request) -> tuple[Any, bytes]:
        """The parsed body and its bytes.

        Raises UnsupportedMediaType, MalformedRequest, MalformedJson or PayloadTooLarge.
        """
        check_media_type(request.headers.get("content-type"))
        data = await self.read(request)
        if not data.strip():
            raise MalformedRequest(
                "The body is empty; a JSON object is expected.",
                hint='Send JSON with "Content-Type: application/json".',
            )
        if len(data) > _THREAD_BYTES:
            return await asyncio.to_thread(parse_json, data, self._limits), data
        return parse_json(data, self._limits), data

    async def read(self, request: Request) -> bytes:
        """The body as it came; raises PayloadTooLarge or ClientLeft."""
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced[:20]) > self._limit:
            self._refuse(int(announced[:20]))
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._next(request)
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._limit:
                chunks.clear()
                self._refuse(size)
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _next(self, request: Request) -> Message:
        try:
            async with asyncio.timeout(self._silence):
                message = await request.receive()
        except TimeoutError:
            raise ClientLeft(f"The body stopped arriving for {self._silence:g} s.") from None
        if message["type"] == "http.disconnect":
            raise ClientLeft
        return message

    def _refuse(self, size: int) -> NoReturn:
        raise PayloadTooLarge(
            f"The body has at least {size:,} bytes; at most {self._limit:,} are accepted.",
            hint="Put large values elsewhere and send references to them.",
        )


def check_media_type(content_type: str | None) -> None:
    """JSON, or no word about it; raises UnsupportedMediaType."""
    if not content_type:
        return
    kind, _, parameters = content_type.partition(";")
    kind = kind.strip().lower()
    if kind not in ("application/json", "text/json") and not kind.endswith("+json"):
        raise UnsupportedMediaType(
            f"The Content-Type {kind[:100]!r} is not served here.",
            hint='Send JSON with "Content-Type: application/json".',
        )
    charset = parameters.strip().lower().replace('"', "")
    if charset.startswith("charset=") and charset not in ("charset=utf-8", "charset=utf8"):
        raise UnsupportedMediaType("JSON is UTF-8; no other charset is served here.")
