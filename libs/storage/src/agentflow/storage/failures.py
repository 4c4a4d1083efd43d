"""Reading a database error: is the database gone, or is it this very row?

An outage is retried for as long as it takes. A refusal of data will never succeed however
often it is tried. Everything else (a missing table, a full disk, a bug) is neither: whoever
loses data over it would lose all of it, so it is treated like an outage by writers.
"""

import asyncio
from collections.abc import Iterator

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from agentflow.storage.errors import Unstorable

_OUTAGE_CLASSES = ("08", "53", "57", "58", "40", "55")
"""SQLSTATE classes: connection, resources, operator intervention, system, rollback, not ready."""

_REFUSED_CLASSES = ("22", "23", "54")
"""SQLSTATE classes: bad data, broken constraint, a program limit (row or index entry too long)."""

_SQLITE_OUTAGES = ("database is locked", "disk i/o error", "unable to open", "is full", "readonly")


def is_outage(error: BaseException) -> bool:
    """Whether the database is not there, or too busy to answer."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    for link in _chain(error):
        state = getattr(link, "sqlstate", None)
        if isinstance(state, str):
            return state[:2] in _OUTAGE_CLASSES
        if isinstance(link, OSError | asyncio.TimeoutError | PoolTimeout):
            return True
        if _says(link, "InterfaceError", "connection is closed", "connection was closed"):
            return True
        if _says(link, "OperationalError", *_SQLITE_OUTAGES):
            return True
    return False


def is_refusal(error: BaseException) -> bool:
    """Whether the data itself can never be stored."""
    if isinstance(error, Unstorable):
        return True
    for link in _chain(error):
        state = getattr(link, "sqlstate", None)
        if isinstance(state, str):
            return state[:2] in _REFUSED_CLASSES
    if isinstance(error, DataError | IntegrityError):
        return True
    if isinstance(error, StatementError) and not isinstance(error, DBAPIError):
        return True  # a value the driver could not even bind
    roots = list(_chain(error))
    return isinstance(roots[-1], ValueError | TypeError | OverflowError)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = getattr(link, "orig", None) or link.__cause__


def _says(error: BaseException, kind: str, *phrases: str) -> bool:
    text = str(error).lower()
    return type(error).__name__ == kind and any(phrase in text for phrase in phrases)
