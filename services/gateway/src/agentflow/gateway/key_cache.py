"""Verified keys are believed for a short while, so that a request pays for no hash and no SQL.

A key that has expired is never believed. While the database is down, a key verified within
the hour still is: executions go on (G11), and everybody else gets 503.
"""

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agentflow.contracts.errors import DependencyDown
from agentflow.gateway.permissions import Principal

_UNKNOWN_SECONDS = 2.0
_STALE_SECONDS = 3600.0
_TRY_AGAIN_SECONDS = 5.0
_LOOKUP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whose key it is and until when, or why it is refused (for the record, not the caller)."""

    principal: Principal | None
    expires_at: datetime | None = None
    refusal: str | None = None


class KeyVerifier(Protocol):
    """Looks a key up; raises DependencyDown when it cannot."""

    async def verify(self, key: str) -> Verdict: ...


@dataclass(slots=True)
class _Entry:
    verdict: Verdict
    verified_at: float
    believed_until: float


class KeyCache:
    """The keys this process has seen lately, good and bad."""

    def __init__(
        self,
        verifier: KeyVerifier,
        *,
        seconds: float,
        entries: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._seconds = seconds
        self._capacity = entries
        self._clock = clock
        self._salt = secrets.token_bytes(32)
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    async def find(self, key: str) -> Verdict:
        """Whose key this is, or why nobody's. Raises DependencyDown."""
        name = hashlib.blake2b(key.encode("utf-8", "replace"), key=self._salt).digest()
        entry = self._entries.get(name)
        now = self._clock()
        if entry is None or now >= entry.believed_until:
            entry = await self._verify(key, entry, now)
            self._keep(name, entry)
        if _is_over(entry.verdict, now):
            return Verdict(None, refusal="expired")
        return entry.verdict

    async def _verify(self, key: str, known: _Entry | None, now: float) -> _Entry:
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                verdict = await self._verifier.verify(key)
        except (DependencyDown, TimeoutError) as error:
            is_known = known is not None and known.verdict.principal is not None
            if known and is_known and now - known.verified_at < _STALE_SECONDS:
                return _Entry(known.verdict, known.verified_at, now + _TRY_AGAIN_SECONDS)
            raise DependencyDown(
                "API keys cannot be checked just now: the database does not answer."
            ) from error
        believed = self._seconds if verdict.principal else _UNKNOWN_SECONDS
        return _Entry(verdict, now, now + believed)

    def _keep(self, name: bytes, entry: _Entry) -> None:
        self._entries[name] = entry
        self._entries.move_to_end(name)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


def _is_over(verdict: Verdict, now: float) -> bool:
    return verdict.expires_at is not None and verdict.expires_at.timestamp() <= now
