"""`agentflow keys create | list | revoke | rotate`: API keys, straight in the database.

For operators: whoever reaches the database may do this. The key itself is shown once.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.options import AsJson, JsonAnyway

if TYPE_CHECKING:
    from agentflow.storage.api_keys import ApiKeys, NewKey

TENANT = typer.Option("--tenant", help="whose key")
URL = typer.Option("--database-url", help="instead of AGENTFLOW_DATABASE_URL or the stack's")


def build() -> typer.Typer:
    """The command group."""
    group = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)
    for command in (create, ls, revoke, rotate):
        group.command("list" if command is ls else command.__name__)(command)
    return group


def create(
    role: Annotated[str, typer.Option(help="admin, developer, viewer or executor")],
    name: Annotated[str, typer.Option(help="what it is for")] = "unnamed",
    user: Annotated[str, typer.Option(help="who uses it")] = "operator",
    days: Annotated[int | None, typer.Option(min=1, help="valid for so long")] = None,
    tenant: Annotated[str, TENANT] = "default",
    database_url: Annotated[str | None, URL] = None,
    _json: JsonAnyway = True,
) -> None:
    """Make a key and print it: it cannot be shown again."""
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    until = None if days is None else now + timedelta(days=days)

    async def make(keys: "ApiKeys") -> Any:
        made = await keys.create(
            _tenant(tenant), name=name, user=user, role=role, now=now, expires_at=until
        )
        return _shown(made)

    _print(_on_keys(database_url, make))


def ls(
    tenant: Annotated[str, TENANT] = "default",
    database_url: Annotated[str | None, URL] = None,
    as_json: AsJson = False,
) -> None:
    """List keys, newest first; never their secrets."""
    from agentflow.cli.output import Output
    from agentflow.cli.tables import plain_table

    found = _on_keys(database_url, lambda keys: keys.list(_tenant(tenant)))
    if as_json:
        _print([view.model_dump(mode="json") for view in found])
        return
    table = plain_table("KEY", "PREFIX", "ROLE", "USER", "NAME", "UNTIL", "REVOKED")
    table.columns[0].no_wrap = True
    for view in found:
        dates = (str(date)[:16] if date else "" for date in (view.expires_at, view.revoked_at))
        table.add_row(view.key_id, view.prefix, view.role, view.user, view.name, *dates)
    Output().table(table)


def revoke(
    key_id: str,
    tenant: Annotated[str, TENANT] = "default",
    database_url: Annotated[str | None, URL] = None,
    _json: JsonAnyway = True,
) -> None:
    """Refuse a key from now on. Gateways may believe it for a few seconds more."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    _on_keys(database_url, lambda keys: keys.revoke(_tenant(tenant), key_id, now))
    _print({"key_id": key_id, "revoked_at": now.isoformat()})


def rotate(
    key_id: str,
    grace_hours: Annotated[float, typer.Option(min=0, help="the old one stays good")] = 24.0,
    tenant: Annotated[str, TENANT] = "default",
    database_url: Annotated[str | None, URL] = None,
    _json: JsonAnyway = True,
) -> None:
    """Make a key like an old one, which stays good for a while."""
    from datetime import UTC, datetime, timedelta

    now, grace = datetime.now(UTC), timedelta(hours=grace_hours)

    async def turn(keys: "ApiKeys") -> Any:
        return _shown(await keys.rotate(_tenant(tenant), key_id, now=now, grace=grace))

    _print(_on_keys(database_url, turn))


def _on_keys(url: str | None, work: "Callable[[ApiKeys], Awaitable[Any]]") -> Any:
    from agentflow.cli.asyncs import run_async
    from agentflow.cli.storage_connection import storage_settings
    from agentflow.storage.api_keys import ApiKeys
    from agentflow.storage.engine import Database, make_engine

    async def connect() -> Any:
        settings = storage_settings(url)
        database = Database(make_engine(settings, pooled=False))
        try:
            return await work(ApiKeys(database, settings))
        finally:
            await database.close()

    return run_async(connect())


def _shown(made: "NewKey") -> dict[str, Any]:
    return {**made.key.model_dump(mode="json"), "api_key": made.secret}


def _tenant(text: str) -> Any:
    from agentflow.contracts.ids import TenantId

    return TenantId(text)


def _print(value: Any) -> None:
    from agentflow.cli.output import Output

    Output().result(value)
