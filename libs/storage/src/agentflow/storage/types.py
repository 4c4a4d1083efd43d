"""Column types that mean the same on SQLite and PostgreSQL.

Every time is an instant in UTC, microseconds kept: `timestamptz` on PostgreSQL, text of fixed
width on SQLite, so that text order is time order. JSON is `json`, not `jsonb`: it is kept as
it came, and a `\\u0000` inside a value cannot jam a writer.
"""

from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import JSON, DateTime, String
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
_JSON_OPTIONS = orjson.OPT_NON_STR_KEYS


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime; a naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"A time without a zone cannot be stored: {value.isoformat()}")
        return utc_text(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        found = datetime.fromisoformat(value) if isinstance(value, str) else value
        instant: datetime = found.astimezone(UTC)
        return instant


def json_column() -> JSON:
    """A JSON document; Python None is SQL NULL."""
    return JSON(none_as_null=True)


def utc_text(value: datetime) -> str:
    """The instant as text of fixed width, e.g. `2026-11-21T03:02:01.000500Z`."""
    return value.astimezone(UTC).strftime(_FORMAT)


def dump_json(value: Any) -> str:
    """JSON text for a column."""
    return orjson.dumps(value, option=_JSON_OPTIONS).decode()
