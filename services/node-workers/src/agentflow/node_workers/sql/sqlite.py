"""SQLite, read-only. Below the gate lie: a connection opened read-only, `query_only`, the
database's own authorizer with our list of functions, its limits on sizes, and a clock that
interrupts. Nothing a query does outlives it.

A query is one hop to a thread: opened connections are kept, checked against the file on
disk (it may have been replaced), and rolled back after use.
"""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agentflow.contracts.errors import NodeFailed
from agentflow.node_workers.sql.allowed import NAMES
from agentflow.node_workers.sql.database import MAX_RESULT_BYTES, DbQuery, DbRows
from agentflow.node_workers.sql.gate import GatedQuery, SqlGate
from agentflow.node_workers.sql.params import bind_by_name
from agentflow.node_workers.sql.rows import RowCollector, column_names, json_value

_CLOCK_STEPS = 2_000
"""Virtual machine steps between two looks at the clock: about every 50 µs."""
_ALLOWED_ACTIONS = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, MAX_RESULT_BYTES),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 1_000_000),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 10_000),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 200),
    (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
)
_BUSY_MS = 1_000


class SqliteDatabase:
    """Read-only connections to one file. `most` queries of it run at once."""

    def __init__(
        self, path: Path | None, gate: SqlGate, threads: Executor, *, most: int, wait: float
    ) -> None:
        """`path`: None for an empty database in memory; `wait`: seconds for a free place."""
        self._path = path
        self._gate = gate
        self._threads = threads
        self._free = asyncio.Semaphore(most)
        self._wait = wait
        self._idle: list[_Connection] = []

    async def read(self, query: DbQuery) -> DbRows:
        gated = self._gate.pass_through(query.sql, query.limit + 1, query.offset)
        params = bind_by_name(gated.names, gated.positional, query.params)
        await self._place()
        try:
            return await self._run(query, gated, params)
        finally:
            self._free.release()

    async def aclose(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    async def _place(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._wait):
                await self._free.acquire()
        except TimeoutError:
            raise NodeFailed(
                "overloaded",
                f"No connection to the SQLite database was free within {self._wait:g} seconds.",
                retryable=True,
                hint="Raise pool_size or pool_timeout of the source.",
            ) from None

    async def _run(self, query: DbQuery, gated: GatedQuery, params: dict[str, Any]) -> DbRows:
        loop = asyncio.get_running_loop()
        connection = self._idle.pop() if self._idle else _Connection(self._path)
        work = loop.run_in_executor(
            self._threads, connection.read, gated.text, params, query, time.monotonic()
        )
        try:
            rows = await asyncio.shield(work)
        except asyncio.CancelledError:
            # The thread ends at the next look at the clock; then the connection goes too.
            connection.cancel()
            work.add_done_callback(lambda done: _drop(done, connection))
            raise
        except NodeFailed:
            connection.close()
            raise
        self._idle.append(connection)
        return rows


def _drop(done: "asyncio.Future[DbRows]", connection: "_Connection") -> None:
    if not done.cancelled():
        done.exception()
    connection.close()


class _Connection:
    """One connection, used by one thread at a time."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._deadline = 0.0
        self._cancelled = threading.Event()

    def read(self, sql: str, params: dict[str, Any], query: DbQuery, started: float) -> DbRows:
        """Run the query in this thread; `started` is the monotonic time it was asked for."""
        self._deadline = started + query.timeout
        try:
            database = self._open()
            return self._fetch(database, sql, params, query)
        except sqlite3.OperationalError as error:
            raise self._failure(error, query) from None
        except (sqlite3.DatabaseError, sqlite3.InterfaceError, OverflowError) as error:
            raise _broken(error) from None

    def cancel(self) -> None:
        """Make a running `read` end soon; may be called from any thread."""
        self._cancelled.set()

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _fetch(
        self, database: sqlite3.Connection, sql: str, params: dict[str, Any], query: DbQuery
    ) -> DbRows:
        cursor = database.execute(sql, params)
        try:
            names = column_names(column[0] for column in cursor.description or ())
            collector = RowCollector(names, MAX_RESULT_BYTES, [json_value] * len(names))
            for raw in cursor:
                if len(collector.rows) == query.limit:
                    return DbRows(collector.rows, more=True)
                collector.add(raw)
            return DbRows(collector.rows, more=False)
        finally:
            cursor.close()

    def _open(self) -> sqlite3.Connection:
        identity = _identity(self._path)
        if self._database is not None and identity == self._identity:
            return self._database
        self.close()
        database = connect_read_only(self._path)
        database.set_progress_handler(self._out_of_time, _CLOCK_STEPS)
        self._database, self._identity = database, identity
        return database

    def _out_of_time(self) -> int:
        return int(self._cancelled.is_set() or time.monotonic() > self._deadline)

    def _failure(self, error: sqlite3.OperationalError, query: DbQuery) -> NodeFailed:
        if error.sqlite_errorcode == sqlite3.SQLITE_INTERRUPT:
            return NodeFailed(
                "timeout", f"The query was cut after {query.timeout:g} seconds.", retryable=True
            )
        return _broken(error)


def connect_read_only(path: Path | None) -> sqlite3.Connection:
    """A connection that can only read `path`; raises sqlite3.OperationalError."""
    uri = "file::memory:" if path is None else f"file:{quote(str(path))}?mode=ro"
    database = sqlite3.connect(
        uri,
        uri=True,
        timeout=_BUSY_MS / 1000,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    database.execute("PRAGMA query_only = ON")
    database.execute("PRAGMA trusted_schema = OFF")
    for limit, value in _LIMITS:
        database.setlimit(limit, value)
    database.text_factory = _text
    # These make their table at first use, which the authorizer would see as a CREATE.
    for function in ("json_each", "json_tree"):
        database.execute(f"SELECT 1 FROM {function}('[]')").fetchall()  # noqa: S608 - our names
    database.set_authorizer(_authorizer())
    return database


def _authorizer() -> Callable[..., int]:
    functions = NAMES["sqlite"]

    def authorize(action: int, _first: str | None, second: str | None, *_rest: Any) -> int:
        if action in _ALLOWED_ACTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in functions:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return authorize


def _text(raw: bytes) -> str:
    """SQLite lets any bytes be text."""
    return raw.decode("utf-8", "replace")


def _identity(path: Path | None) -> tuple[int, int] | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        raise NodeFailed(
            "invalid_request",
            f"There is no SQLite database {path.name!r} at the source's path.",
            hint="A relative path starts in the first directory of "
            "AGENTFLOW_WORKERS_SQLITE_DIRECTORIES.",
        ) from None
    return found.st_dev, found.st_ino


def _broken(error: Exception) -> NodeFailed:
    """SQLite's messages name tables and columns of the query; they hold no data."""
    code = getattr(error, "sqlite_errorcode", None)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return NodeFailed("overloaded", "The SQLite database is locked.", retryable=True)
    if code == sqlite3.SQLITE_AUTH:
        return NodeFailed("query_refused", "The database refused a part of the query.")
    if code == sqlite3.SQLITE_TOOBIG:
        return NodeFailed("payload_too_large", "A value of the query is too large.")
    return NodeFailed("invalid_request", f"SQLite cannot run the query: {str(error)[:300]}.")
