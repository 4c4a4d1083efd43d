"""SourcePool: one open client per source, shared by all nodes that use it.

A client is made at its first use and kept until it is the least recently used idle one of
too many. One that is in use is never closed under its user.
"""

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar

import orjson

from agentflow.contracts.spec import Source


class Closable(Protocol):
    async def aclose(self) -> None: ...


ClientT = TypeVar("ClientT", bound=Closable)


class _Entry(Generic[ClientT]):
    __slots__ = ("client", "users")

    def __init__(self, client: ClientT) -> None:
        self.client = client
        self.users = 0


def source_key(tenant: str, source: Source) -> bytes:
    """Equal for equal connections: tenant, id and the whole config."""
    return orjson.dumps([tenant, source.id, source.config], option=orjson.OPT_SORT_KEYS)


class SourcePool(Generic[ClientT]):
    """Clients by key; `most` bounds how many are kept."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[bytes, _Entry[ClientT]] = OrderedDict()

    @asynccontextmanager
    async def lease(
        self, key: bytes, make: Callable[[], Awaitable[ClientT]]
    ) -> AsyncIterator[ClientT]:
        """The client of `key`, made by `make` if there is none; it stays open for the block."""
        entry = self._entries.get(key)
        if entry is None:
            made = _Entry(await make())
            # Somebody else may have been quicker while we made ours.
            entry = self._entries.setdefault(key, made)
            if entry is not made:
                await made.client.aclose()
        self._entries.move_to_end(key)
        entry.users += 1
        try:
            if len(self._entries) > self._most:
                await self._evict()
            yield entry.client
        finally:
            entry.users -= 1

    async def aclose(self) -> None:
        """Close all clients."""
        entries, self._entries = self._entries, OrderedDict()
        for entry in entries.values():
            await entry.client.aclose()

    async def _evict(self) -> None:
        idle = next((key for key, entry in self._entries.items() if not entry.users), None)
        if idle is not None:
            await self._entries.pop(idle).client.aclose()
