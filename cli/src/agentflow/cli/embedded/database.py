"""The schema of the embedded database, brought up to this release at every start."""

from pathlib import Path


def sqlite_url(path: Path) -> str:
    """The URL of a SQLite file."""
    return f"sqlite:///{path}"


async def migrate(database_url: str) -> None:
    """Bring the schema up to this release; raises DatabaseDown or SchemaOutOfDate."""
    from agentflow.storage import migrate as migrations

    await migrations.upgrade(database_url)


async def check_schema(database_url: str) -> str:
    """One line on a schema that is right; raises SchemaOutOfDate or DatabaseDown otherwise."""
    from agentflow.storage import migrate as migrations

    await migrations.check(database_url)
    return f"schema at revision {migrations.head()}, as this release needs it"
