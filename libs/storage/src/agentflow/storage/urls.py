"""Database URLs as people write them, turned into what the async drivers need.

`sqlite:///file.db`, `postgresql://…` and `postgres://…` are enough; a driver may be named.
"""

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from agentflow.contracts.errors import BadInput

_DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
_ALIASES = {"postgres": "postgresql", "sqlite3": "sqlite"}


def database_url(text: str) -> URL:
    """The URL with its async driver; raises BadInput for anything else than our two databases."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise BadInput(
            "DATABASE_URL is not a URL.",
            hint="Write sqlite:///path/to/file.db or postgresql://user:password@host/name.",
        ) from None
    backend = url.drivername.split("+")[0]
    driver = _DRIVERS.get(_ALIASES.get(backend, backend))
    if driver is None:
        raise BadInput(
            f"DATABASE_URL names the database {backend!r}, which is not supported.",
            hint="Use sqlite:// or postgresql://.",
        )
    url = url.set(drivername=driver)
    sslmode = url.query.get("sslmode")
    if isinstance(sslmode, str):  # libpq's name; asyncpg calls it ssl
        url = url.difference_update_query(["sslmode"]).update_query_dict({"ssl": sslmode})
    return url


def make_parent_folder(url: URL) -> None:
    """Create the folder of a SQLite file; other databases need none."""
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
