"""Waiting for something to become true, without betting on how long it takes."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(
    check: Callable[[], Awaitable[T]],
    timeout: float = ...,
    *,
    interval: float = ...,
    says: str = ...,
) -> T: ...


@overload
async def eventually(
    check: Callable[[], T], timeout: float = ..., *, interval: float = ..., says: str = ...
) -> T: ...


async def eventually(
    check: Callable[[], T | Awaitable[T]],
    timeout: float = 10.0,
    *,
    interval: float = 0.02,
    says: str = "",
) -> T:
    """The first truthy result of `check`, asked again until then.

    A check that raises AssertionError is asked again as well. After `timeout` seconds:
    AssertionError with `says` and the last result or error.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            result = check()
            value: T = await result if inspect.isawaitable(result) else result
            if value:
                return value
            last = value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            what = says or getattr(check, "__name__", "the check")
            raise AssertionError(f"not true after {timeout:g} s: {what} (last: {last!r:.500})")
        await asyncio.sleep(interval)
