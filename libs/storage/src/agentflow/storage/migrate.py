"""The one migration history, usable from an installed wheel.

`upgrade` and `downgrade` move the schema (operators, the embedded stack); `check` only looks:
a service that finds another schema than its own refuses to start.
"""

import asyncio
import threading
import time
from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from agentflow.storage.engine import Database, make_engine
from agentflow.storage.errors import DatabaseDown, SchemaOutOfDate
from agentflow.storage.settings import StorageSettings

_SCRIPTS = Path(__file__).parent / "migrations"

# Alembic keeps the migration under way in module globals: two at once would mix them up.
_ONE_AT_A_TIME = threading.Lock()


def head() -> str:
    """The revision this release needs."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise SchemaOutOfDate("This installation holds no migrations.")
    return revision


async def upgrade(url: str, revision: str = "head") -> str:
    """Bring the database at `url` up to `revision`; returns the revision it is at now."""
    return await _run(url, "upgrade", revision)


async def downgrade(url: str, revision: str) -> str:
    """Bring the database at `url` down to `revision` (`base`: no tables); returns where it is."""
    return await _run(url, "downgrade", revision)


async def check(url: str) -> None:
    """Raise SchemaOutOfDate unless the schema is this release's, DatabaseDown if nobody answers."""
    database = Database(make_engine(StorageSettings(database_url=url), pooled=False))
    try:
        await check_schema(database)
    finally:
        await database.close()


async def wait_for_schema(database: Database, patience: float) -> None:
    """`check_schema`, giving a database that is still starting `patience` seconds to answer."""
    give_up = time.monotonic() + patience
    while True:
        try:
            await check_schema(database)
        except DatabaseDown:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(min(1.0, patience))
        else:
            return


async def current(database: Database) -> str | None:
    """The revision the database is at; None before the first upgrade."""
    async with database.read() as connection:
        return await connection.run_sync(_revision)


async def check_schema(database: Database) -> None:
    """The same as `check`, over an open database."""
    found, needed = await current(database), head()
    if found == needed:
        return
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    where = "has no tables yet" if found is None else f"is at revision {found}"
    newer = found is not None and found not in known
    raise SchemaOutOfDate(
        f"The database {where}; this release needs revision {needed}.",
        hint="It was written by a newer release: upgrade AgentFlow."
        if newer
        else "Run `agentflow db upgrade`.",
    )


async def _run(url: str, direction: str, revision: str) -> str:
    def alone() -> str:
        with _ONE_AT_A_TIME:
            return asyncio.run(_move(url, direction, revision))

    return await asyncio.to_thread(alone)


async def _move(url: str, direction: str, revision: str) -> str:
    from alembic import command

    database = Database(make_engine(StorageSettings(database_url=url), pooled=False))

    def move(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        getattr(command, direction)(config, revision)

    try:
        async with database.write() as connection:
            await connection.run_sync(move)
        return await current(database) or "base"
    finally:
        await database.close()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
