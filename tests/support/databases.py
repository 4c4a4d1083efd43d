"""Fixtures: a migrated, empty database, once on SQLite and once on PostgreSQL.

Import them into a conftest.py; every test that asks for one runs on both. The migrations run
once per test run; each test gets a copy of what they made.
"""

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest

from agentflow.storage import migrate
from agentflow.storage.engine import Database, open_database
from agentflow.storage.settings import StorageSettings
from tests.support.servers import PostgresServer

BOTH = [pytest.param("sqlite"), pytest.param("postgresql", marks=pytest.mark.postgres)]
POSTGRES_ONLY = BOTH[1:]


@pytest.fixture(params=BOTH)
def kind(request: pytest.FixtureRequest) -> str:
    """`sqlite` or `postgresql`."""
    return str(request.param)


@pytest.fixture
def empty_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables."""
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'storage' / 'test.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at this release's schema."""
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    _in_a_thread(migrate.upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """Name of a PostgreSQL database at this release's schema."""
    name = f"template_{uuid.uuid4().hex[:8]}"
    _sql(postgres_server, f"CREATE DATABASE {name}")
    _in_a_thread(migrate.upgrade(postgres_server.url(name)))
    return name


@pytest.fixture
def database_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database at this release's schema, this test's own."""
    if kind == "sqlite":
        path = tmp_path / "test.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    template: str = request.getfixturevalue("postgres_template")
    name = f"test_{uuid.uuid4().hex[:16]}"
    _sql(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.url(name)
    _sql(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def storage_settings(database_url: str) -> StorageSettings:
    return StorageSettings(database_url=database_url, sqlite_synchronous="NORMAL")


@pytest.fixture
async def database(storage_settings: StorageSettings) -> AsyncIterator[Database]:
    """An open database, closed afterwards."""
    opened = open_database(storage_settings)
    yield opened
    await opened.close()


def _sql(server: PostgresServer, statement: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(server.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    _in_a_thread(run())


def _in_a_thread(work: object) -> None:
    """Session fixtures have no event loop of their own."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()  # type: ignore[arg-type]  # a coroutine
