"""API keys: 256 random bits, shown once, stored as a peppered hash.

A key is `prefix.secret`; the prefix finds the row, the whole key proves itself against the hash
in constant time. An unknown prefix costs the same comparison as a known one.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Row, insert, or_, select, update

from agentflow.contracts.errors import BadInput
from agentflow.contracts.ids import TenantId, is_token
from agentflow.storage.engine import Database
from agentflow.storage.errors import NotFound
from agentflow.storage.settings import StorageSettings
from agentflow.storage.tables import api_keys
from agentflow.storage.tenancy import ALL_TENANTS
from agentflow.storage.views import ApiKeyView

ROLES = ("admin", "developer", "viewer", "executor")
_SECRET_BYTES = 32
_MAX_KEY = 200
_DUMMY = bytes(32)

Refusal = Literal["malformed", "unknown", "expired", "revoked"]


@dataclass(frozen=True)
class NewKey:
    """A key just made. `secret` is the whole key; it is nowhere else and cannot be had again."""

    key: ApiKeyView
    secret: str

    def __repr__(self) -> str:
        return f"NewKey(key={self.key!r}, secret='…')"


@dataclass(frozen=True)
class KeyCheck:
    """Whose key it is, or why it is refused. The reason is for the audit, never for the caller."""

    key: ApiKeyView | None
    refusal: Refusal | None = None


class ApiKeys:
    """Makes, proves, rotates and revokes keys. Times are handed in."""

    def __init__(self, database: Database, settings: StorageSettings) -> None:
        self._database = database
        self._pepper = settings.api_key_pepper.get_secret_value().encode()

    async def create(
        self,
        tenant: TenantId,
        *,
        name: str,
        user: str,
        role: str,
        now: datetime,
        expires_at: datetime | None = None,
        created_by: str | None = None,
        replaces: str | None = None,
    ) -> NewKey:
        """A new key; raises BadInput for a role that is none or a tenant no subject can hold."""
        if role not in ROLES:
            raise BadInput(f"There is no role {role!r}.", hint=f"Roles are {', '.join(ROLES)}.")
        if not is_token(tenant):
            raise BadInput(f"The tenant {tenant!r} cannot be part of a subject.")
        prefix = f"af_{secrets.token_hex(8)}"
        secret = f"{prefix}.{secrets.token_urlsafe(_SECRET_BYTES)}"
        view = ApiKeyView(
            key_id=f"key_{secrets.token_hex(12)}",
            tenant=tenant,
            prefix=prefix,
            name=name,
            user=user,
            role=role,
            replaces=replaces,
            created_at=now,
            created_by=created_by,
            expires_at=expires_at,
        )
        row = view.model_dump()
        row["user_id"] = row.pop("user")
        async with self._database.write() as connection:
            await connection.execute(insert(api_keys), {**row, "hash": self._hash(secret)})
        return NewKey(view, secret)

    async def check(self, secret: str, now: datetime) -> KeyCheck:
        """Prove a key. Takes as long for a stranger's prefix as for a known one."""
        prefix = secret.split(".", 1)[0]
        well_formed = len(secret) <= _MAX_KEY and "." in secret and secret.isascii()
        row = await self._by_prefix(prefix) if well_formed and is_token(prefix) else None
        stored = _DUMMY if row is None else bytes(row.hash)
        proven = hmac.compare_digest(self._hash(secret[:_MAX_KEY]), stored)
        if not well_formed:
            return KeyCheck(None, "malformed")
        if row is None or not proven:
            return KeyCheck(None, "unknown")
        view = _view(row)
        if view.revoked_at is not None and view.revoked_at <= now:
            return KeyCheck(None, "revoked")
        if view.expires_at is not None and view.expires_at <= now:
            return KeyCheck(None, "expired")
        return KeyCheck(view)

    async def get(self, tenant: TenantId, key_id: str) -> ApiKeyView | None:
        """The key, without its secret; None when there is none (or not yours)."""
        async with self._database.read() as connection:
            row = (await connection.execute(_one(tenant, key_id))).one_or_none()
        return None if row is None else _view(row)

    async def list(self, tenant: TenantId) -> tuple[ApiKeyView, ...]:
        """The tenant's keys, newest first, revoked ones too."""
        query = (
            select(api_keys)
            .where(api_keys.c.tenant == tenant)
            .order_by(api_keys.c.created_at.desc(), api_keys.c.key_id)
        )
        async with self._database.read() as connection:
            return tuple(_view(row) for row in await connection.execute(query))

    async def revoke(self, tenant: TenantId, key_id: str, now: datetime) -> None:
        """From `now` the key is refused. Revoking twice keeps the first time. Raises NotFound."""
        if await self.get(tenant, key_id) is None:
            raise NotFound(f"There is no API key {key_id!r}.")
        await self._change(tenant, key_id, api_keys.c.revoked_at.is_(None), {"revoked_at": now})

    async def rotate(
        self, tenant: TenantId, key_id: str, *, now: datetime, grace: timedelta
    ) -> NewKey:
        """A new key like the old one, which stays good for `grace`. Raises NotFound."""
        old = await self.get(tenant, key_id)
        if old is None or (old.revoked_at is not None and old.revoked_at <= now):
            raise NotFound(f"There is no API key {key_id!r} that could be rotated.")
        fresh = await self.create(
            tenant,
            name=old.name,
            user=old.user,
            role=old.role,
            now=now,
            expires_at=old.expires_at,
            created_by=old.created_by,
            replaces=key_id,
        )
        until = now + grace
        sooner = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > until)
        await self._change(tenant, key_id, sooner, {"expires_at": until})
        return fresh

    async def _change(
        self, tenant: TenantId, key_id: str, where: Any, values: dict[str, Any]
    ) -> None:
        async with self._database.write() as connection:
            await connection.execute(
                update(api_keys)
                .where(api_keys.c.tenant == tenant, api_keys.c.key_id == key_id, where)
                .values(**values)
            )

    async def _by_prefix(self, prefix: str) -> Row[Any] | None:
        query = select(api_keys).where(api_keys.c.prefix == prefix)
        reason = {ALL_TENANTS: "the key itself says whose it is"}
        async with self._database.read() as connection:
            return (await connection.execute(query, execution_options=reason)).one_or_none()

    def _hash(self, secret: str) -> bytes:
        return hmac.digest(self._pepper or b"\0", secret.encode("utf-8", "replace"), hashlib.sha256)


def _one(tenant: TenantId, key_id: str) -> Any:
    return select(api_keys).where(api_keys.c.tenant == tenant, api_keys.c.key_id == key_id)


def _view(row: Row[Any]) -> ApiKeyView:
    values = row._asdict()
    values["user"] = values.pop("user_id")
    return ApiKeyView(**values)
