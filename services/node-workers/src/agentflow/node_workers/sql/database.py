"""Database: what a db node needs of a database. One query in, rows of JSON out.

Codes of NodeFailed: query_refused, invalid_request, timeout, network, overloaded, auth,
payload_too_large, secret_not_found.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from agentflow.node_workers.sql.rows import Decimals

MAX_RESULT_BYTES = 32 * 1024 * 1024
"""All rows of one result together, roughly as JSON."""


@dataclass(frozen=True, slots=True)
class DbQuery:
    """One read. `params`: by name, or by position, or none; `timeout` in seconds."""

    sql: str
    params: dict[str, Any] | list[Any]
    limit: int
    offset: int
    timeout: float
    decimals: Decimals = "string"


@dataclass(frozen=True, slots=True)
class DbRows:
    """At most `limit` rows; `more` when the query had more."""

    rows: list[dict[str, Any]]
    more: bool


class Database(Protocol):
    """A pool of read-only connections of one source."""

    async def read(self, query: DbQuery) -> DbRows:
        """Run the query; raises NodeFailed. Cancelling stops it in the database."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
