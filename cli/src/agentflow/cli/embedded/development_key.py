"""The development key: made once per directory, an admin of the tenant `default`.

It is kept in a file only its owner can read. One that the database does not accept any more
(revoked, expired, another database) is replaced.
"""

from datetime import UTC, datetime
from pathlib import Path

from agentflow.cli.embedded.private_files import read_private, write_private
from agentflow.contracts.ids import DEFAULT_TENANT
from agentflow.storage.api_keys import ApiKeys
from agentflow.storage.engine import Database, make_engine
from agentflow.storage.settings import StorageSettings

NAME = "development"


async def ensure_development_key(settings: StorageSettings, path: Path) -> str:
    """The key in `path` if it is still good, else a new one, written there."""
    database = Database(make_engine(settings, pooled=False))
    try:
        keys = ApiKeys(database, settings)
        known = read_private(path)
        if known is not None and (await keys.check(known, datetime.now(UTC))).key is not None:
            return known
        made = await keys.create(
            DEFAULT_TENANT, name=NAME, user=NAME, role="admin", now=datetime.now(UTC)
        )
    finally:
        await database.close()
    write_private(path, made.secret)
    return made.secret
