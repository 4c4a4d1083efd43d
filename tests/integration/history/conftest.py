"""Real databases for this room's tests."""

from tests.support.databases import (
    database,
    database_url,
    empty_url,
    kind,
    postgres_template,
    sqlite_template,
    storage_settings,
)

__all__ = [
    "database",
    "database_url",
    "empty_url",
    "kind",
    "postgres_template",
    "sqlite_template",
    "storage_settings",
]
