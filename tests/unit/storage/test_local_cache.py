"""The local cache: bounded, least recently used first, nothing outlives its time."""

from agentflow.storage.cache import LocalCache


class Clock:
    """Time that passes when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_put_in_comes_out_until_its_time_is_over() -> None:
    clock = Clock()
    cache = LocalCache(10, clock)
    cache.set("a", b"1", 5)
    clock.now = 4.9
    assert cache.get("a") == b"1"
    clock.now = 5.0
    assert cache.get("a") is None


def test_the_least_recently_used_goes_first() -> None:
    cache = LocalCache(2, Clock())
    cache.set("a", b"1", 5)
    cache.set("b", b"2", 5)
    assert cache.get("a") == b"1"
    cache.set("c", b"3", 5)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"1", None, b"3")


def test_a_deleted_value_is_gone() -> None:
    cache = LocalCache(2, Clock())
    cache.set("a", b"1", 5)
    cache.delete("a")
    cache.delete("a")
    assert cache.get("a") is None
