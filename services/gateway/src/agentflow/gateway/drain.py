"""A client that is still sending cannot read our answer, so nothing is answered before the
body is read to its end, up to a limit. Beyond the limit the connection closes after the
answer. A body nobody needs is thrown away as it comes.
"""

import asyncio

from starlette.types import Message, Receive, Scope

_SECONDS = 20.0
_SILENCE = 1.0
"""A sender that is silent for so long is not sending: it can read."""


class Body:
    """`receive` of one request that knows whether the body has been read."""

    __slots__ = ("_expects_continue", "_limit", "_receive", "_started", "complete")

    def __init__(self, scope: Scope, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._limit = limit
        self._started = False
        self._expects_continue = False
        self.complete = True
        for name, value in scope["headers"]:
            if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                self.complete = False
            elif name == b"expect":
                self._expects_continue = True

    async def __call__(self) -> Message:
        self._started = True
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.complete = True
        return message

    async def drain(self) -> bool:
        """Read the rest; False when there is more than we are willing to read."""
        if self.complete:
            return True
        if self._expects_continue and not self._started:
            return False  # it has sent nothing yet, and our answer tells it not to
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._rest()
        except TimeoutError:
            return False

    async def _rest(self) -> bool:
        left = self._limit
        while left >= 0:
            async with asyncio.timeout(_SILENCE):
                message = await self()
            if message["type"] != "http.request" or not message.get("more_body", False):
                return True
            left -= len(message.get("body", b""))
        return False
