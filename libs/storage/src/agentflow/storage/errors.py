"""What can go wrong in the storage room.

AgentflowError
├── DependencyDown
│   └── DatabaseDown        the database does not answer                503
├── SchemaOutOfDate         the tables are not what this release needs  500
├── NotFound                not there, or not yours                     404
├── BadInput
│   └── BadCursor           the cursor is not one of ours               400
├── Conflict                the store already says otherwise            409
│   ├── AlreadyExists       the id is taken
│   ├── InUse               something still needs it
│   └── StaleVersion        somebody changed it first                   412
└── UnscopedQuery           a tenant-owned table asked without a tenant (a bug of ours)
"""

from typing import ClassVar

from agentflow.contracts.errors import AgentflowError, BadInput, DependencyDown


class DatabaseDown(DependencyDown):
    """The database does not answer."""

    code: ClassVar[str] = "database_down"
    retry_after: ClassVar[float] = 5.0


class HandedBack(AgentflowError):
    """The service is stopping and the database does not answer; nothing was acknowledged."""

    code: ClassVar[str] = "handed_back"


class Unstorable(AgentflowError):
    """This can never be written, whatever the database does."""

    code: ClassVar[str] = "unstorable"


class SchemaOutOfDate(AgentflowError):
    """The database tables are not what this release needs."""

    code: ClassVar[str] = "schema_out_of_date"


class NotFound(AgentflowError):
    """There is no such thing, or it is not yours."""

    code: ClassVar[str] = "not_found"
    status: ClassVar[int] = 404


class BadCursor(BadInput):
    """The cursor is not one this server gave out."""

    code: ClassVar[str] = "bad_cursor"


class Conflict(AgentflowError):
    """The store already says otherwise."""

    code: ClassVar[str] = "conflict"
    status: ClassVar[int] = 409


class AlreadyExists(Conflict):
    """The id is taken."""

    code: ClassVar[str] = "already_exists"


class InUse(Conflict):
    """Something still needs it."""

    code: ClassVar[str] = "in_use"


class StaleVersion(Conflict):
    """Somebody changed it first."""

    code: ClassVar[str] = "stale_version"
    status: ClassVar[int] = 412


class UnscopedQuery(AgentflowError):
    """A tenant-owned table was asked without naming the tenant."""

    code: ClassVar[str] = "unscoped_query"
