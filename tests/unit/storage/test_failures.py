"""Data or database: whoever takes one for the other loses events or stands still for ever."""

import sqlite3

import pytest
from asyncpg import exceptions as pg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError, ProgrammingError

from agentflow.storage.errors import Unstorable
from agentflow.storage.failures import is_outage, is_refusal


def wrapped(kind: type[DBAPIError], original: Exception) -> DBAPIError:
    return kind("INSERT …", None, original)


OUTAGES: list[BaseException] = [
    ConnectionRefusedError("nobody listens"),
    TimeoutError("too slow"),
    TimeoutError(),
    wrapped(DBAPIError, pg.ConnectionDoesNotExistError("gone")),
    wrapped(DBAPIError, pg.CannotConnectNowError("starting up")),
    wrapped(DBAPIError, pg.AdminShutdownError("bye")),
    wrapped(DBAPIError, pg.TooManyConnectionsError("full")),
    wrapped(DBAPIError, pg.DiskFullError("full")),
    wrapped(DBAPIError, pg.DeadlockDetectedError("again")),
    wrapped(OperationalError, sqlite3.OperationalError("database is locked")),
    wrapped(OperationalError, sqlite3.OperationalError("disk I/O error")),
    wrapped(OperationalError, sqlite3.OperationalError("unable to open database file")),
]
REFUSALS: list[BaseException] = [
    wrapped(DBAPIError, pg.CharacterNotInRepertoireError("NUL")),
    wrapped(DBAPIError, pg.NumericValueOutOfRangeError("big")),
    wrapped(DBAPIError, pg.NotNullViolationError("null")),
    wrapped(DBAPIError, pg.ProgramLimitExceededError("index row too long")),
    wrapped(DataError, sqlite3.DataError("string or blob too big")),
    wrapped(IntegrityError, sqlite3.IntegrityError("NOT NULL constraint failed")),
    OverflowError("Python int too large to convert to SQLite INTEGER"),
    TypeError("Integer exceeds 64-bit range"),
    Unstorable(),
]
NEITHER: list[BaseException] = [
    wrapped(ProgrammingError, pg.UndefinedTableError("no such table")),
    wrapped(OperationalError, sqlite3.OperationalError("no such table: executions")),
    KeyError("a bug"),
]


@pytest.mark.parametrize("error", OUTAGES, ids=repr)
def test_an_outage_is_waited_for_and_never_blamed_on_the_data(error: BaseException) -> None:
    assert is_outage(error)
    assert not is_refusal(error)


@pytest.mark.parametrize("error", REFUSALS, ids=repr)
def test_refused_data_is_never_taken_for_an_outage(error: BaseException) -> None:
    assert is_refusal(error)
    assert not is_outage(error)


@pytest.mark.parametrize("error", NEITHER, ids=repr)
def test_what_would_hit_every_row_alike_is_no_refusal_of_one(error: BaseException) -> None:
    assert not is_refusal(error)
    assert not is_outage(error)


def test_a_cause_behind_an_error_is_found() -> None:
    error = RuntimeError("outer")
    error.__cause__ = ConnectionResetError("inner")
    assert is_outage(error)
