"""PostgreSQL, read-only. Below the gate lie: bound parameters (extended protocol), a
read-only transaction that is always rolled back, statement and lock timeouts, caps on rows
and bytes, and a low-privilege role: a superuser's session gives its powers up at once.

Cancelling a read cancels it in the server. Nothing is read from PG* of the environment:
the password is given, even when it is empty.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import asyncpg
import orjson
from asyncpg.pool import PoolConnectionProxy

from agentflow.contracts.errors import NodeFailed
from agentflow.node_workers.sql.database import MAX_RESULT_BYTES, DbQuery, DbRows
from agentflow.node_workers.sql.gate import GatedQuery, SqlGate
from agentflow.node_workers.sql.params import in_order, typed
from agentflow.node_workers.sql.rows import Decimals, RowCollector, column_names, json_value

_FETCH = 500
_LOCK_TIMEOUT_MS = 2_000
_CONNECT_SECONDS = 10.0
READ_ALL = "pg_read_all_data"
"""The predefined role that can read and do nothing else."""


class PostgresDatabase:
    """A pool of connections; `connect` holds asyncpg's arguments."""

    def __init__(
        self,
        connect: Mapping[str, Any],
        gate: SqlGate,
        *,
        most: int,
        wait: float,
        role: str | None = None,
    ) -> None:
        """`most`: connections at once; `wait`: seconds for a free one; `role`: to read as."""
        self._connect = dict(connect)
        self._gate = gate
        self._most = most
        self._wait = wait
        self._role = role
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._opening = asyncio.Lock()

    async def read(self, query: DbQuery) -> DbRows:
        gated = self._gate.pass_through(query.sql, query.limit + 1, query.offset)
        values = in_order(gated.names, gated.positional, query.params)
        try:
            connection = await self._acquire()
        except TimeoutError:
            raise self._no_connection() from None
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise _cannot_connect(error) from None
        try:
            return await _read(connection, gated, values, query)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise _failure(error, query) from None
        except asyncpg.InternalClientError:
            # What the client says when the server goes in the middle of a protocol step.
            raise NodeFailed(
                "network", "The connection to PostgreSQL was lost.", retryable=True
            ) from None
        finally:
            # A lost connection may not hide the reason behind the failure to give it back.
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await asyncio.shield(self._release(connection))

    async def aclose(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def _acquire(self) -> "PoolConnectionProxy[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self._connect,
                    min_size=0,
                    max_size=self._most,
                    init=self._lower_privileges,
                    timeout=_CONNECT_SECONDS,
                    server_settings={
                        "default_transaction_read_only": "on",
                        "application_name": "agentflow-node-workers",
                    },
                )
        return await self._pool.acquire(timeout=self._wait)

    def _no_connection(self) -> NodeFailed:
        """Too many want one, or the server does not answer: the pool knows which."""
        if self._pool is not None and self._pool.get_size() < self._most:
            return NodeFailed("network", "PostgreSQL does not answer.", retryable=True)
        return NodeFailed(
            "overloaded",
            f"No connection to PostgreSQL was free within {self._wait:g} seconds.",
            retryable=True,
            hint="Raise pool_size or pool_timeout of the source.",
        )

    async def _release(self, connection: "PoolConnectionProxy[asyncpg.Record]") -> None:
        if self._pool is not None:
            await self._pool.release(connection)

    async def _lower_privileges(self, connection: Any) -> None:
        role = self._role
        if role is None:
            powerful = await connection.fetchval(
                "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
            )
            role = READ_ALL if powerful else None
        if role is not None:
            quoted = await connection.fetchval("SELECT pg_catalog.quote_ident($1)", role)
            await connection.execute(f"SET ROLE {quoted}")


async def _read(
    connection: "PoolConnectionProxy[asyncpg.Record]",
    gated: GatedQuery,
    values: list[Any],
    query: DbQuery,
) -> DbRows:
    milliseconds = max(1, int(query.timeout * 1000))
    await connection.execute(
        f"BEGIN READ ONLY; SET LOCAL statement_timeout = {milliseconds};"
        f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"
    )
    try:
        statement = await connection.prepare(gated.text)
        kinds = statement.get_parameters()
        args = [
            typed(value, kind.name, repr(name))
            for name, value, kind in zip(gated.names, values, kinds, strict=True)
        ]
        collector = _collector(statement, query.decimals)
        cursor = await statement.cursor(*args)
        while rows := await cursor.fetch(_FETCH):
            for row in rows:
                if len(collector.rows) == query.limit:
                    return DbRows(collector.rows, more=True)
                collector.add(tuple(row))
        return DbRows(collector.rows, more=False)
    finally:
        if not connection.is_closed():
            await connection.execute("ROLLBACK")


def _collector(statement: Any, decimals: Decimals) -> RowCollector:
    attributes = statement.get_attributes()
    convert: list[Callable[[Any], Any]] = [
        _from_json
        if attribute.type.name in ("json", "jsonb")
        else partial(json_value, decimals=decimals)
        for attribute in attributes
    ]
    names = column_names(attribute.name for attribute in attributes)
    return RowCollector(names, MAX_RESULT_BYTES, convert)


def _from_json(value: Any) -> Any:
    return None if value is None else orjson.loads(value)


def _cannot_connect(error: Exception) -> NodeFailed:
    if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
        return NodeFailed(
            "auth",
            "PostgreSQL does not accept the user or password.",
            hint="Check the secret that connection_string_env names.",
        )
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return NodeFailed("invalid_request", "The database of the source does not exist.")
    if isinstance(error, asyncpg.TooManyConnectionsError | asyncpg.CannotConnectNowError):
        return NodeFailed("overloaded", "PostgreSQL takes no connection just now.", retryable=True)
    return NodeFailed("network", "PostgreSQL cannot be reached.", retryable=True)


def _failure(error: Exception, query: DbQuery) -> NodeFailed:
    """PostgreSQL's own text may quote data: only its class is told, and where it helps a name."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return NodeFailed(
            "timeout", f"The query was cut after {query.timeout:g} seconds.", retryable=True
        )
    if isinstance(error, asyncpg.LockNotAvailableError):
        return NodeFailed("overloaded", "The query waited too long for a lock.", retryable=True)
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError | asyncpg.InsufficientPrivilegeError):
        return NodeFailed("query_refused", "The database refused the query: it may only read.")
    if isinstance(error, asyncpg.SyntaxOrAccessError):
        # It speaks of names in the query, which the author of the workflow wrote.
        return NodeFailed(
            "invalid_request", f"PostgreSQL cannot run the query: {str(error)[:300]}."
        )
    if isinstance(error, asyncpg.DataError):
        return NodeFailed(
            "invalid_request",
            f"PostgreSQL cannot run the query on this data ({type(error).__name__}).",
        )
    if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError | OSError):
        return NodeFailed("network", "The connection to PostgreSQL was lost.", retryable=True)
    if isinstance(error, asyncpg.InsufficientResourcesError | asyncpg.OperatorInterventionError):
        return NodeFailed("overloaded", "PostgreSQL is short of resources.", retryable=True)
    return NodeFailed(
        "invalid_request", f"PostgreSQL cannot run the query ({type(error).__name__})."
    )
