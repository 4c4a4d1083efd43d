"""One way to make an engine, for SQLite and PostgreSQL alike.

SQLite runs in WAL mode with foreign keys on; a writing transaction begins IMMEDIATE, so that
it waits for another writer instead of failing half-way. A Database that does not answer is
told as DatabaseDown, whatever the driver called it.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from agentflow.storage.errors import DatabaseDown
from agentflow.storage.failures import is_outage
from agentflow.storage.settings import StorageSettings
from agentflow.storage.tenancy import refuse_unscoped_queries
from agentflow.storage.types import dump_json
from agentflow.storage.urls import database_url, make_parent_folder

_WRITES = "agentflow_writes"


def make_engine(settings: StorageSettings, *, pooled: bool = True) -> AsyncEngine:
    """An engine for `settings.database_url`; nothing connects before its first use."""
    url = database_url(settings.database_url)
    options: dict[str, Any] = {
        "json_serializer": dump_json,
        "json_deserializer": orjson.loads,
        "hide_parameters": True,  # parameters are tenants' data; they stay out of logs
    }
    if not pooled or url.database in (None, "", ":memory:"):
        options["poolclass"] = NullPool
    else:
        options["pool_size"] = settings.pool_size
        options["max_overflow"] = settings.pool_overflow
        options["pool_timeout"] = settings.pool_timeout
    if url.get_backend_name() == "sqlite":
        make_parent_folder(url)
        engine = create_async_engine(url, **options)
        _tune_sqlite(engine, settings)
    else:
        engine = create_async_engine(
            url,
            pool_pre_ping=True,
            connect_args={
                "timeout": settings.connect_timeout,
                "command_timeout": settings.statement_timeout,
                "server_settings": {"application_name": "agentflow"},
            },
            **options,
        )
    refuse_unscoped_queries(engine)
    return engine


class Database:
    """Transactions over one engine; close it when done."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{_WRITES: True})

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    @property
    def engine(self) -> AsyncEngine:
        return self._engine

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; raises DatabaseDown."""
        with _outages_named():
            async with self._engine.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed at the end of the block; raises DatabaseDown."""
        with _outages_named():
            async with self._writer.begin() as connection:
                yield connection

    async def ping(self) -> None:
        """Raise DatabaseDown unless the database answers."""
        async with self.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._engine.dispose()


def open_database(settings: StorageSettings) -> Database:
    """A Database for `settings`; nothing connects before its first use."""
    return Database(make_engine(settings))


class _outages_named:  # noqa: N801  # reads as a verb where it is used
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and not isinstance(error, DatabaseDown) and is_outage(error):
            raise DatabaseDown(
                f"The database does not answer ({type(error).__name__}).",
                hint="Check DATABASE_URL and that the server runs.",
            ) from error


def _tune_sqlite(engine: AsyncEngine, settings: StorageSettings) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {int(settings.busy_timeout * 1000)}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {settings.sqlite_synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
