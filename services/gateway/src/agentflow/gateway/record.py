"""The database as the gateway uses it: keys and recorded executions.

Every query takes the tenant. A database that is away raises DependencyDown, and comes back
by itself.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentflow.contracts.ids import ExecutionId, TenantId
from agentflow.gateway.clock import utc_now
from agentflow.gateway.key_cache import Verdict
from agentflow.gateway.permissions import Principal, Role
from agentflow.storage.api_keys import ApiKeys
from agentflow.storage.engine import Database, open_database
from agentflow.storage.errors import DatabaseDown
from agentflow.storage.executions import ExecutionFilter, Executions
from agentflow.storage.migrate import wait_for_schema
from agentflow.storage.settings import StorageSettings
from agentflow.storage.views import ExecutionDetail, ExecutionSummary, Page


class SqlRecord:
    """What history wrote and who may ask. Nothing connects before `open()`."""

    def __init__(self, settings: StorageSettings, *, patience: float, timeout: float) -> None:
        self._patience = patience
        self._timeout = timeout
        self._database: Database = open_database(settings)
        self._executions = Executions(self._database)
        self._keys = ApiKeys(self._database, settings)

    async def open(self) -> None:
        """Wait shortly for the database; raises DatabaseDown or SchemaOutOfDate."""
        await wait_for_schema(self._database, self._patience)

    async def close(self) -> None:
        await self._database.close()

    async def ping(self) -> None:
        """Raise DatabaseDown unless it answers."""
        await self._database.ping()

    async def verify(self, key: str) -> Verdict:
        """Whose key it is, if it is valid now."""
        check = await self._keys.check(key, utc_now())
        found = check.key
        if found is None:
            return Verdict(None, refusal=check.refusal)
        who = Principal(TenantId(found.tenant), found.user, Role(found.role), found.key_id)
        # A key that will be revoked at a known time ends then.
        ends = [moment for moment in (found.expires_at, found.revoked_at) if moment is not None]
        return Verdict(who, min(ends, default=None))

    async def summary(self, tenant: TenantId, execution_id: str) -> ExecutionSummary | None:
        """Without states and nodes."""
        async with self._patiently():
            return await self._executions.find(tenant, ExecutionId(execution_id))

    async def detail(self, tenant: TenantId, execution_id: str) -> ExecutionDetail | None:
        """With states, nodes and attempts."""
        async with self._patiently():
            return await self._executions.get(tenant, ExecutionId(execution_id))

    async def page(
        self,
        tenant: TenantId,
        where: ExecutionFilter,
        *,
        limit: int,
        cursor: str | None,
        skip: int,
    ) -> Page[ExecutionSummary]:
        """Newest first; raises BadCursor."""
        async with self._patiently():
            return await self._executions.list(tenant, where, limit=limit, cursor=cursor, skip=skip)

    @asynccontextmanager
    async def _patiently(self) -> AsyncIterator[None]:
        """A database that is silent is away: the caller gets its 503 and may come back."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError:
            raise DatabaseDown(f"The database was silent for {self._timeout:g} s.") from None
