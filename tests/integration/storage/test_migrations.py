"""One history of migrations: up, down, up again, and what it makes is what the tables say."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from agentflow.storage import migrate
from agentflow.storage.engine import Database, make_engine, open_database
from agentflow.storage.errors import DatabaseDown, SchemaOutOfDate
from agentflow.storage.settings import StorageSettings
from agentflow.storage.tables import metadata
from tests.support.servers import free_port


async def tables(url: str) -> set[str]:
    database = open_database(StorageSettings(database_url=url))
    try:
        async with database.read() as connection:
            return set(await connection.run_sync(lambda c: inspect(c).get_table_names()))
    finally:
        await database.close()


async def test_up_makes_every_table_and_down_takes_them_all_away(empty_url: str) -> None:
    assert await migrate.upgrade(empty_url) == migrate.head()
    assert await tables(empty_url) == {*metadata.tables, "alembic_version"}
    assert await migrate.downgrade(empty_url, "base") == "base"
    assert await tables(empty_url) == {"alembic_version"}
    assert await migrate.upgrade(empty_url) == migrate.head()


async def test_upgrading_twice_changes_nothing(database_url: str) -> None:
    assert await migrate.upgrade(database_url) == migrate.head()


async def test_several_databases_may_be_upgraded_at_once(tmp_path: Path, empty_url: str) -> None:
    urls = [empty_url, *(f"sqlite:///{tmp_path / name}.db" for name in "abc")]
    done = await asyncio.gather(*(migrate.upgrade(url) for url in [*urls, *urls]))
    assert set(done) == {migrate.head()}
    for url in urls:
        await migrate.check(url)


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return [
        difference
        for difference in compare_metadata(context, metadata)
        # Only PostgreSQL has it, and only where the extension is: the migration makes it.
        if "ix_executions_text" not in str(difference)
    ]


async def test_the_migrations_make_what_the_tables_say(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_a_drifted_table_is_noticed(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("ALTER TABLE sources DROP COLUMN description"))
        assert await connection.run_sync(differences) != []


async def test_the_check_passes_at_this_releases_schema(database_url: str) -> None:
    await migrate.check(database_url)


async def test_a_service_does_not_start_on_a_database_without_tables(empty_url: str) -> None:
    with pytest.raises(SchemaOutOfDate, match="has no tables yet") as refused:
        await migrate.check(empty_url)
    assert "agentflow db upgrade" in (refused.value.hint or "")


async def test_a_service_does_not_start_on_the_schema_of_a_newer_release(
    database: Database, database_url: str
) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaOutOfDate, match="at revision 9999") as refused:
        await migrate.check(database_url)
    assert "newer release" in (refused.value.hint or "")


async def test_a_database_that_does_not_answer_is_said_to_be_down() -> None:
    with pytest.raises(DatabaseDown):
        await migrate.check(f"postgresql://nobody@127.0.0.1:{free_port()}/none")


async def test_a_service_waits_for_a_database_that_is_starting_but_not_for_ever() -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    database = Database(make_engine(StorageSettings(database_url=url)))
    with pytest.raises(DatabaseDown):
        await migrate.wait_for_schema(database, patience=0.3)
    await database.close()


async def test_a_failed_migration_leaves_nothing_half_done(empty_url: str) -> None:
    database = open_database(StorageSettings(database_url=empty_url))
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE workflows (x INTEGER)"))
    await database.close()
    with pytest.raises(Exception, match="workflows"):
        await migrate.upgrade(empty_url)
    assert await tables(empty_url) == {"workflows"}


async def index_names(url: str) -> set[str]:
    database = open_database(StorageSettings(database_url=url))
    async with database.read() as connection:
        rows = await connection.execute(
            text("SELECT indexname FROM pg_indexes WHERE tablename = 'executions'")
        )
        found = {str(name) for name in rows.scalars()}
    await database.close()
    return found


@pytest.mark.postgres
async def test_text_search_gets_its_index_where_the_server_offers_it(postgres_url: str) -> None:
    await migrate.upgrade(postgres_url)
    assert "ix_executions_text" in await index_names(postgres_url)


@pytest.mark.postgres
async def test_a_role_that_may_not_make_extensions_still_gets_its_tables(
    postgres_url: str,
) -> None:
    admin = open_database(StorageSettings(database_url=postgres_url))
    async with admin.write() as connection:
        await connection.execute(text("CREATE ROLE modest LOGIN"))
        await connection.execute(text("GRANT CREATE ON SCHEMA public TO modest"))
    url = postgres_url.replace("postgres@", "modest@")
    assert await migrate.upgrade(url) == migrate.head()
    assert "ix_executions_created" in await index_names(url)
    assert "ix_executions_text" not in await index_names(url)
    await migrate.downgrade(url, "base")
    async with admin.write() as connection:
        await connection.execute(text("DROP OWNED BY modest"))
        await connection.execute(text("DROP ROLE modest"))
    await admin.close()
