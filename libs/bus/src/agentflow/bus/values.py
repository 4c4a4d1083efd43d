"""Large values travel by reference: the object store holds them, messages hold a ValueRef.

A reference names its tenant; resolving it for another tenant is refused, because users can
write any JSON into a state, references included.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from agentflow.bus import names
from agentflow.bus.bus import Bus
from agentflow.contracts.errors import AgentflowError, PayloadTooLarge
from agentflow.contracts.state import (
    ADDING_KEYS,
    APPENDING_KEYS,
    INLINE_LIMIT_BYTES,
    MERGING_KEYS,
    REF_PREFIX,
    VALUE_LIMIT_BYTES,
    ValueRef,
    is_value_ref,
)

_ALWAYS_INLINE = frozenset((*ADDING_KEYS, *MERGING_KEYS, *APPENDING_KEYS))


class ValueNotFound(AgentflowError):
    """A referenced value is not in the object store (expired, or another tenant's)."""

    code = "value_not_found"
    status = 404


class ValueStore:
    """Puts JSON values into the installation's object bucket and gets them back."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._bucket: ObjectStore | None = None

    async def put(self, value: Any, tenant: str, execution_id: str) -> ValueRef:
        """Store one JSON value; raises PayloadTooLarge above 32 MiB."""
        return await self._put_encoded(orjson.dumps(value), value, tenant, execution_id)

    async def get(self, ref: ValueRef, tenant: str) -> Any:
        """The value behind `ref`; raises ValueNotFound."""
        name = ref["$ref"].removeprefix(REF_PREFIX)
        if not name.startswith(f"{tenant}/"):
            raise ValueNotFound(f"No value {ref['$ref']} for tenant {tenant}.")
        try:
            result = await (await self._objects()).get(name)
        except NotFoundError:
            raise ValueNotFound(f"The value {ref['$ref']} is not there (any more).") from None
        return orjson.loads(result.data or b"null")

    async def offload(
        self, values: Mapping[str, Any], tenant: str, execution_id: str
    ) -> dict[str, Any]:
        """The same mapping with each value over 64 KiB replaced by a reference."""
        kept: dict[str, Any] = {}
        for key, value in values.items():
            kept[key] = (
                value
                if key in _ALWAYS_INLINE
                else await self.offload_value(value, tenant, execution_id)
            )
        return kept

    async def offload_value(self, value: Any, tenant: str, execution_id: str) -> Any:
        """`value`, or a reference to it when its JSON is over 64 KiB."""
        if is_small(value):
            return value
        encoded = orjson.dumps(value)
        if len(encoded) <= INLINE_LIMIT_BYTES:
            return value
        return await self._put_encoded(encoded, value, tenant, execution_id)

    async def resolve(self, value: Any, tenant: str) -> Any:
        """The same JSON with every reference in it replaced by its value."""
        return await self._resolve(value, tenant) if find_refs(value) else value

    async def _resolve(self, value: Any, tenant: str) -> Any:
        if is_value_ref(value):
            return await self.get(value, tenant)
        if isinstance(value, dict):
            if not any(isinstance(item, dict | list) for item in value.values()):
                return value
            return {key: await self._resolve(item, tenant) for key, item in value.items()}
        if isinstance(value, list):
            if not any(isinstance(item, dict | list) for item in value):
                return value
            return [await self._resolve(item, tenant) for item in value]
        return value

    async def _put_encoded(
        self, encoded: bytes, value: Any, tenant: str, execution_id: str
    ) -> ValueRef:
        if len(encoded) > VALUE_LIMIT_BYTES:
            raise PayloadTooLarge(
                f"A value of {len(encoded):,} bytes; at most {VALUE_LIMIT_BYTES:,} are allowed."
            )
        digest = hashlib.sha256(encoded).hexdigest()[:40]
        name = f"{tenant}/{execution_id}/{digest}"
        await (await self._objects()).put(name, encoded)
        return {"$ref": REF_PREFIX + name, "size": len(encoded), "type": _type_name(value)}

    async def _objects(self) -> ObjectStore:
        if self._bucket is None:
            name = names.bucket_name(self._bus.prefix, names.VALUES)
            self._bucket = await self._bus.nc.jetstream(timeout=30).object_store(name)
        return self._bucket


def is_small(value: Any) -> bool:
    """Cheap test that spares encoding most values: certainly below the inline limit."""
    if isinstance(value, str):
        return len(value) * 6 < INLINE_LIMIT_BYTES
    return value is None or isinstance(value, int | float)


def find_refs(value: Any) -> list[ValueRef]:
    """Every reference inside `value`."""
    if is_value_ref(value):
        return [value]
    if isinstance(value, dict):
        return [ref for item in value.values() for ref in find_refs(item)]
    if isinstance(value, list):
        return [ref for item in value for ref in find_refs(item)]
    return []


def _type_name(value: Any) -> str:
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
