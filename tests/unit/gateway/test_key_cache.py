"""Verified keys are believed for a while, and never longer than they are good."""

from datetime import UTC, datetime

import pytest

from agentflow.contracts.errors import DependencyDown
from agentflow.contracts.ids import TenantId
from agentflow.gateway.key_cache import KeyCache, Verdict
from agentflow.gateway.permissions import Principal, Role

WHO = Principal(TenantId("acme"), "u", Role.VIEWER, "key_1")


class Database:
    """Knows one key; counts how often it is asked; can be away."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.asked = 0
        self.away = False

    async def verify(self, key: str) -> Verdict:
        self.asked += 1
        if self.away:
            raise DependencyDown("away")
        return self.verdict if key == "good" else Verdict(None, refusal="unknown")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def cache(database: Database, clock: Clock, entries: int = 100) -> KeyCache:
    return KeyCache(database, seconds=30, entries=entries, clock=clock)


async def test_a_good_key_is_looked_up_once_in_its_time() -> None:
    database, clock = Database(Verdict(WHO)), Clock()
    keys = cache(database, clock)
    for _ in range(3):
        assert (await keys.find("good")).principal == WHO
    assert database.asked == 1
    clock.now += 30
    await keys.find("good")
    assert database.asked == 2


async def test_a_bad_key_is_not_looked_up_at_every_try_of_a_flood() -> None:
    database, clock = Database(Verdict(WHO)), Clock()
    keys = cache(database, clock)
    for _ in range(100):
        assert (await keys.find("bad")).principal is None
    assert database.asked == 1


async def test_a_revoked_key_is_refused_when_its_time_is_over() -> None:
    database, clock = Database(Verdict(WHO)), Clock()
    keys = cache(database, clock)
    await keys.find("good")
    database.verdict = Verdict(None, refusal="revoked")
    assert (await keys.find("good")).principal == WHO
    clock.now += 30
    assert (await keys.find("good")).refusal == "revoked"


async def test_a_key_that_expires_inside_its_time_is_refused_at_once() -> None:
    clock = Clock()
    ends = datetime.fromtimestamp(clock.now + 5, UTC)
    keys = cache(Database(Verdict(WHO, ends)), clock)
    assert (await keys.find("good")).principal == WHO
    clock.now += 5
    assert (await keys.find("good")).refusal == "expired"


async def test_while_the_database_is_away_known_keys_go_on_and_others_do_not() -> None:
    database, clock = Database(Verdict(WHO)), Clock()
    keys = cache(database, clock)
    await keys.find("good")
    database.away = True
    clock.now += 60
    for _ in range(10):
        assert (await keys.find("good")).principal == WHO
    assert database.asked == 2  # it is not asked again at every request
    with pytest.raises(DependencyDown):
        await keys.find("new")
    clock.now += 3600
    with pytest.raises(DependencyDown):
        await keys.find("good")


async def test_a_refused_key_is_not_believed_while_the_database_is_away() -> None:
    database, clock = Database(Verdict(None, refusal="revoked")), Clock()
    keys = cache(database, clock)
    await keys.find("good")
    database.away = True
    clock.now += 60
    with pytest.raises(DependencyDown):
        await keys.find("good")


async def test_the_cache_forgets_the_oldest_and_never_holds_a_key_itself() -> None:
    database, clock = Database(Verdict(WHO)), Clock()
    keys = cache(database, clock, entries=2)
    for key in ("good", "b", "c", "good"):
        await keys.find(key)
    assert database.asked == 4
    assert len(keys._entries) == 2
    assert not any(b"good" in name for name in keys._entries)
