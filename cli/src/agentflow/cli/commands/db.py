"""`agentflow db upgrade | downgrade | status`: the SQL schema."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from agentflow.cli.options import JsonAnyway

URL = typer.Option("--database-url", help="instead of AGENTFLOW_DATABASE_URL or the stack's")


def build() -> typer.Typer:
    """The command group."""
    group = typer.Typer(help="Move the SQL schema up and down.", no_args_is_help=True)
    group.command("upgrade")(upgrade)
    group.command("downgrade")(downgrade)
    group.command("status")(status)
    return group


def upgrade(
    revision: Annotated[str, typer.Argument()] = "head",
    database_url: Annotated[str | None, URL] = None,
    _json: JsonAnyway = True,
) -> None:
    """Bring the schema up to this release, or to a revision."""
    from agentflow.storage import migrate

    _move(database_url, lambda url: migrate.upgrade(url, revision))


def downgrade(
    revision: Annotated[str, typer.Argument(help="a revision, -1, or base for no tables")],
    database_url: Annotated[str | None, URL] = None,
    _json: JsonAnyway = True,
) -> None:
    """Bring the schema down to a revision. Tables that go take their rows with them."""
    from agentflow.storage import migrate

    _move(database_url, lambda url: migrate.downgrade(url, revision))


def status(database_url: Annotated[str | None, URL] = None, _json: JsonAnyway = True) -> None:
    """Check that the schema is what this release needs; exit 1 with what to do otherwise."""
    from agentflow.storage import migrate

    async def look(url: str) -> str:
        await migrate.check(url)
        return migrate.head()

    _move(database_url, look)


def _move(given: str | None, work: Callable[[str], Awaitable[str]]) -> None:
    from agentflow.cli.asyncs import run_async
    from agentflow.cli.output import Output
    from agentflow.cli.storage_connection import database_url

    async def move() -> str:
        return await work(database_url(given))

    Output().result({"revision": run_async(move())})
