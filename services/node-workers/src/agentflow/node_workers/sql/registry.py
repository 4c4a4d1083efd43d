"""Which database a source means, and how to get there.

A connection string comes from a secret. It may stand in the source itself only when it holds
no password; then its host is a stranger's choice and passes the egress table, and a SQLite
file must lie below an allowed directory, not hidden in it.
"""

from concurrent.futures import Executor
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import httpcore2

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.spec import Source
from agentflow.node_workers.egress.network import resolve
from agentflow.node_workers.egress.policy import EgressPolicy
from agentflow.node_workers.secrets import Secrets
from agentflow.node_workers.sql.database import Database
from agentflow.node_workers.sql.gate import SqlGate
from agentflow.node_workers.sql.sqlite import SqliteDatabase

_SCHEMES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
    "mysql": "mysql",
    "mariadb": "mysql",
}
_RESOLVE_SECONDS = 10.0


class Databases:
    """Makes the database of a source."""

    def __init__(
        self,
        secrets: Secrets,
        policy: EgressPolicy,
        threads: Executor,
        sqlite_roots: tuple[Path, ...] | None,
    ) -> None:
        """`sqlite_roots`: where files named by a source may lie; None: anywhere."""
        self._secrets = secrets
        self._policy = policy
        self._threads = threads
        self._roots = sqlite_roots
        self._gates: dict[str, SqlGate] = {}

    async def make(self, tenant: str, source: Source) -> Database:
        """The database of `source`; raises NodeFailed."""
        config = source.config
        dsn, trusted = self._dsn(tenant, source)
        scheme = _split(source, dsn).scheme.partition("+")[0] if dsn else ""
        provider = str(config.get("provider") or _SCHEMES.get(scheme) or "").lower()
        provider = _SCHEMES.get(provider, provider)
        if provider == "sqlite" or (not provider and "path" in config):
            return self._sqlite(source, dsn, trusted)
        if provider == "postgresql":
            return await self._postgres(source, dsn, trusted)
        raise NodeFailed(
            "unsupported_provider",
            f"The source {source.id!r} names the database {provider or scheme!r}.",
            hint="Known here: postgresql, sqlite.",
        )

    def close(self) -> None:
        """End the threads; call it once the databases are closed."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _dsn(self, tenant: str, source: Source) -> tuple[str | None, bool]:
        """The connection string, and whether the operator gave it."""
        reference = _first(source, "connection_string_env", "dsn_env", "url_env")
        if reference is not None:
            return self._secrets.dsn(tenant, str(reference)), True
        literal = _first(source, "connection_string", "dsn")
        if literal is None:
            return None, False
        parts = _split(source, str(literal))
        if parts.password or "password" in parse_qs(parts.query):
            raise NodeFailed(
                "invalid_request",
                f"The source {source.id!r} holds a password.",
                hint="Put the connection string into the worker's environment and name it in "
                "connection_string_env.",
            )
        return str(literal), False

    def _sqlite(self, source: Source, dsn: str | None, trusted: bool) -> Database:
        named = _sqlite_path(dsn) if dsn else str(source.config.get("path", ""))
        if not named:
            raise NodeFailed(
                "invalid_request", f"The source {source.id!r} names no SQLite file in path."
            )
        path = None if named == ":memory:" else self._allowed(source, named, trusted)
        most, wait = _pool_settings(source)
        return SqliteDatabase(path, self._gate("sqlite"), self._threads, most=most, wait=wait)

    def _allowed(self, source: Source, named: str, trusted: bool) -> Path:
        roots = self._roots
        base = roots[0] if roots and not trusted else Path.cwd()
        path = (base / named).resolve()
        if trusted or roots is None:
            return path
        for root in roots:
            if path.is_relative_to(root) and not any(
                part.startswith(".") for part in path.relative_to(root).parts
            ):
                return path
        raise NodeFailed(
            "path_refused",
            f"The SQLite file of the source {source.id!r} is not below an allowed directory.",
            hint="Hidden files never are. The operator lists directories in "
            "AGENTFLOW_WORKERS_SQLITE_DIRECTORIES.",
        )

    async def _postgres(self, source: Source, dsn: str | None, trusted: bool) -> Database:
        from agentflow.node_workers.sql.postgres import PostgresDatabase

        if dsn is None:
            raise NodeFailed(
                "invalid_request",
                f"The source {source.id!r} has no connection_string_env.",
            )
        parts = _split(source, dsn)
        connect = _postgres_arguments(source, parts)
        if not trusted:
            connect["host"] = await self._checked_host(connect["host"], connect["port"])
        most, wait = _pool_settings(source)
        role = source.config.get("role")
        return PostgresDatabase(
            connect,
            self._gate("postgres"),
            most=most,
            wait=wait,
            role=None if role is None else str(role),
        )

    async def _checked_host(self, host: str, port: int) -> str:
        try:
            addresses = await resolve(host, port, _RESOLVE_SECONDS)
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
            raise NodeFailed(
                "network", f"The host {host!r} cannot be resolved.", retryable=True
            ) from None
        self._policy.check(host, addresses)
        return addresses[0]

    def _gate(self, dialect: Any) -> SqlGate:
        gate = self._gates.get(dialect)
        if gate is None:
            gate = self._gates[dialect] = SqlGate(dialect)
        return gate


def _first(source: Source, *names: str) -> Any:
    """The first of these settings that is there."""
    return next((source.config[name] for name in names if source.config.get(name)), None)


def _split(source: Source, dsn: str) -> SplitResult:
    """Errors may not quote the string: it may hold a password."""
    try:
        parts = urlsplit(dsn)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    if not parts.scheme:
        raise NodeFailed(
            "invalid_request",
            f"The connection string of the source {source.id!r} is not a URL.",
            hint="Write postgresql://user@host:5432/database or sqlite:///path/to/file.db.",
        )
    return parts


def _sqlite_path(dsn: str) -> str:
    """SQLAlchemy's form: three slashes for a relative path, four for an absolute one."""
    rest = dsn.partition("://")[2].partition("?")[0]
    return unquote(rest.removeprefix("/")) or ":memory:"


def _pool_settings(source: Source) -> tuple[int, float]:
    """Connections at once, and seconds to wait for one."""
    try:
        size = int(source.config.get("pool_size", 5))
        overflow = int(source.config.get("max_overflow", 10))
        wait = float(source.config.get("pool_timeout", 30))
    except (TypeError, ValueError):
        raise NodeFailed(
            "invalid_request",
            f"pool_size, max_overflow and pool_timeout of the source {source.id!r} are numbers.",
        ) from None
    return max(1, min(size + overflow, 200)), wait


def _postgres_arguments(source: Source, parts: SplitResult) -> dict[str, Any]:
    if not parts.hostname or not parts.username:
        raise NodeFailed(
            "invalid_request",
            f"The connection string of the source {source.id!r} names no host or no user.",
        )
    query = parse_qs(parts.query)
    mode = source.config.get("ssl", query.get("sslmode", ["prefer"])[0])
    return {
        "host": parts.hostname,
        "port": parts.port or 5432,
        "user": unquote(parts.username),
        "password": unquote(parts.password or ""),
        "database": unquote(parts.path.lstrip("/")) or "postgres",
        "ssl": {True: "verify-full", False: "disable"}.get(mode, str(mode)),
    }
