"""A cache that may forget: Valkey/Redis, and a local one when that does not answer.

Values are bytes; what comes back from the server is untrusted and the caller parses it as such.
While the server is down the local cache serves this process alone, with one warning, and the
server is asked again after a pause.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from agentflow.storage.settings import StorageSettings

Answer = TypeVar("Answer")
Clock = Callable[[], float]
_MAX_OWED = 10_000


class LocalCache:
    """The least recently used entries go first; nothing outlives its time."""

    def __init__(self, entries: int, clock: Clock = time.monotonic) -> None:
        self._entries = entries
        self._clock = clock
        self._held: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        found = self._held.get(key)
        if found is None:
            return None
        if found[0] <= self._clock():
            del self._held[key]
            return None
        self._held.move_to_end(key)
        return found[1]

    def set(self, key: str, value: bytes, seconds: float) -> None:
        self._held[key] = (self._clock() + seconds, value)
        self._held.move_to_end(key)
        while len(self._held) > self._entries:
            self._held.popitem(last=False)

    def delete(self, key: str) -> None:
        self._held.pop(key, None)

    def clear(self) -> None:
        self._held.clear()


class Cache:
    """`get`, `set`, `delete`; never raises for a server that is down."""

    def __init__(
        self, settings: StorageSettings, prefix: str = "agentflow", clock: Clock = time.monotonic
    ) -> None:
        self._prefix = prefix
        self._clock = clock
        self._retry = settings.cache_retry
        self._local = LocalCache(settings.cache_entries, clock)
        self._asks_again_at = 0.0
        self._down = False
        self._owed: OrderedDict[str, None] = OrderedDict()
        self._log = structlog.get_logger("agentflow.storage")
        self._server: Redis | None = None
        if settings.redis_url:
            self._server = Redis.from_url(
                settings.redis_url,
                socket_timeout=settings.cache_timeout,
                socket_connect_timeout=settings.cache_timeout,
                retry=Retry(NoBackoff(), 0),
            )

    @property
    def degraded(self) -> bool:
        """Whether a server is configured and does not answer."""
        return self._down

    async def get(self, key: str) -> bytes | None:
        """The value, or None when it is unknown, too old or forgotten."""
        name = self._name(key)
        answered, value = await self._ask(lambda server: server.get(name))
        if not answered:
            return self._local.get(name)
        return value if isinstance(value, bytes) else None

    async def set(self, key: str, value: bytes, seconds: float) -> None:
        """Keep `value` for `seconds` at most."""
        name = self._name(key)
        answered, _ = await self._ask(
            lambda server: server.set(name, value, px=max(1, int(seconds * 1000)))
        )
        if not answered:
            self._local.set(name, value, seconds)

    async def delete(self, key: str) -> None:
        """Forget the value."""
        name = self._name(key)
        self._local.delete(name)
        answered, _ = await self._ask(lambda server: server.delete(name))
        if not answered and self._server is not None:
            self._owed[name] = None
            if len(self._owed) > _MAX_OWED:
                self._owed.popitem(last=False)

    async def ping(self) -> bool:
        """Whether the server answers; True when none is configured."""
        if self._server is None:
            return True
        answered, _ = await self._ask(lambda server: server.ping())
        return answered

    async def close(self) -> None:
        if self._server is not None:
            await self._server.aclose()

    def _name(self, key: str) -> str:
        return f"{self._prefix}:{key}"

    async def _ask(
        self, question: Callable[[Redis], Awaitable[Answer]]
    ) -> tuple[bool, Answer | None]:
        if self._server is None or self._clock() < self._asks_again_at:
            return False, None
        try:
            if self._owed:  # deleted while it was down: old values must not come back
                await self._server.delete(*self._owed)
                self._owed.clear()
            answer = await question(self._server)
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            return False, None
        if self._down:
            self._down = False
            self._local.clear()
            self._log.info("cache.recovered")
        return True, answer

    def _failed(self, error: Exception) -> None:
        self._asks_again_at = self._clock() + self._retry
        if not self._down:
            self._down = True
            self._log.warning(
                "cache.degraded",
                error=type(error).__name__,
                hint="Caching locally; check REDIS_URL and that the server runs.",
            )
