"""What every test may ask for: real servers, each fresh, none left behind.

`nats_server` (a server of the test's own: it may kill it), `nats_url`, `postgres_url` (an
empty database), `valkey_url` (flushed). A missing server: see tests/support/missing.py.
"""

import asyncio
import os
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from tests.support import leaks, missing
from tests.support.servers import NatsServer, PostgresServer, ServerMissing, ValkeyServer

MARK = pytest.StashKey[str]()
LEAKS = pytest.StashKey[list[str]]()
NEEDS = {"nats_server": "nats", "postgres_server": "postgres", "valkey_server": "valkey"}

settings.register_profile(
    "house",
    deadline=None,  # no assertions on wall time
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],  # the machine may be busy
)
settings.load_profile("house")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MARK] = leaks.mark_session()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who asks for a server carries its mark, so that `-m "not postgres"` works by itself."""
    for item in items:
        for fixture, mark in NEEDS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for reason in missing.summary(config):
        terminalreporter.write_line(f"!! TESTS DID NOT RUN, SERVER MISSING: {reason}", red=True)
    for line in config.stash.get(LEAKS, []):
        terminalreporter.write_line(f"!! LEFT BEHIND BY THE TESTS: {line}", red=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    if session.config.pluginmanager.hasplugin("dsession"):
        return  # xdist: every worker looks after its own
    lines = leaks.end(leaks.leaked(session.config.stash[MARK]))
    session.config.stash[LEAKS] = lines
    if lines and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def nats_server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[NatsServer]:
    """A nats-server with an empty JetStream, this test's own (it starts in 20 ms)."""
    if missing.hidden("nats"):
        missing.give_up(request.config, "nats-server (hidden)")
    try:
        server = NatsServer(tmp_path / "nats")
    except ServerMissing as error:
        missing.give_up(request.config, str(error))
    with server:
        yield server


@pytest.fixture
def nats_url(nats_server: NatsServer) -> str:
    return nats_server.url


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """One cluster for the run."""
    if missing.hidden("postgres"):
        missing.give_up(request.config, "postgresql (hidden)")
    try:
        server = PostgresServer()
    except ServerMissing as error:
        missing.give_up(request.config, str(error))
    with server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database, `postgresql://…`; dropped afterwards with whoever is still in it."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    _sql(postgres_server, f"CREATE DATABASE {name} TEMPLATE template0")
    yield postgres_server.url(name)
    _sql(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def valkey_server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[ValkeyServer]:
    """One Valkey for the run."""
    if missing.hidden("valkey"):
        missing.give_up(request.config, "valkey (hidden)")
    try:
        server = ValkeyServer(tmp_path_factory.mktemp("valkey"))
    except ServerMissing as error:
        missing.give_up(request.config, str(error))
    with server:
        yield server


@pytest.fixture
def valkey_url(valkey_server: ValkeyServer) -> str:
    """A Valkey with nothing in it, `redis://…`."""
    valkey_server.flush()
    return valkey_server.url


@pytest.fixture
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the operator's settings reach the test."""
    for name in list(os.environ):
        if name.startswith(("AGENTFLOW_", "OTEL_", "JAEGER_")) and name != leaks.SESSION_MARK:
            monkeypatch.delenv(name)


def _sql(server: PostgresServer, statement: str) -> None:
    """Run in a thread of its own: the test's event loop is none of our business."""

    async def run() -> None:
        connection = await asyncpg.connect(server.url("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()
