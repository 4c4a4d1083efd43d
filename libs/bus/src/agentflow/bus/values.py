"""Large values travel by reference: the object store holds them, messages hold a ValueRef.

A reference names its tenant; resolving it for another tenant is refused, because users can
write any JSON into a state, references included. What is read is counted as read, not as the
reference claims. A store that does not answer is BusDown, never a missing value.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from nats.errors import Error as NatsError
from nats.js.api import ObjectInfo
from nats.js.errors import APIError, NotFoundError, ObjectDeletedError
from nats.js.object_store import OBJ_CHUNKS_PRE_TEMPLATE, OBJ_STREAM_TEMPLATE, ObjectStore

from agentflow.bus import names
from agentflow.bus.bus import Bus
from agentflow.bus.errors import BusDown, StreamFull
from agentflow.contracts.errors import AgentflowError, PayloadTooLarge
from agentflow.contracts.state import (
    ADDING_KEYS,
    APPENDING_KEYS,
    EXECUTION_LIMIT_BYTES,
    INLINE_LIMIT_BYTES,
    MERGING_KEYS,
    REF_PREFIX,
    VALUE_LIMIT_BYTES,
    ValueRef,
    is_value_ref,
)

_ALWAYS_INLINE = frozenset((*ADDING_KEYS, *MERGING_KEYS, *APPENDING_KEYS))
_LONGEST_NAME = 512
_STREAM_FULL = (10047, 10077)


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
        """The value behind `ref`; raises ValueNotFound, or BusDown when the store is silent."""
        return orjson.loads(await self.encoded(ref, tenant) or b"null")

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
        """The same JSON with every reference in it replaced by its value.

        Raises PayloadTooLarge when all of them together, each as often as it is named, are
        more than one execution may keep.
        """
        return await _Resolver(self, tenant).resolve(value) if find_refs(value) else value

    async def encoded(self, ref: ValueRef, tenant: str) -> bytes:
        """The JSON text behind `ref`; raises as `get` does."""
        name = ref["$ref"].removeprefix(REF_PREFIX)
        if not name.startswith(f"{tenant}/") or len(name) > _LONGEST_NAME:
            raise ValueNotFound(f"No value {_shown(ref)} for tenant {tenant}.")
        for _ in range(2):
            with _answering():
                info = await self._info(name)
                if info is None:
                    break
                encoded = await self._body(info)
            if encoded is not None:
                return encoded
            # Stored again under another name of its body, or half deleted: look once more.
        raise ValueNotFound(f"The value {_shown(ref)} is not there (any more).")

    async def _info(self, name: str) -> ObjectInfo | None:
        try:
            return await (await self._objects()).get_info(name)
        except (NotFoundError, ObjectDeletedError):
            return None

    async def _body(self, info: ObjectInfo) -> bytes | None:
        """All chunks of the object, or None if they are not all there.

        The client library's own `get` waits for ever for chunks that were purged.
        """
        bucket = names.bucket_name(self._bus.prefix, names.VALUES)
        js = self._bus.nc.jetstream(timeout=30)
        stream = OBJ_STREAM_TEMPLATE.format(bucket=bucket)
        subject = OBJ_CHUNKS_PRE_TEMPLATE.format(bucket=bucket, obj=info.nuid)
        body = bytearray()
        sequence = 1
        try:
            for _ in range(info.chunks or 0):
                chunk = await js.get_msg(stream, seq=sequence, subject=subject, next=True)
                body += chunk.data or b""
                sequence = (chunk.seq or 0) + 1
        except NotFoundError:
            return None
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
        return bytes(body) if (info.digest or "").endswith(digest) else None

    async def _put_encoded(
        self, encoded: bytes, value: Any, tenant: str, execution_id: str
    ) -> ValueRef:
        if len(encoded) > VALUE_LIMIT_BYTES:
            raise PayloadTooLarge(
                f"A value of {len(encoded):,} bytes; at most {VALUE_LIMIT_BYTES:,} are allowed."
            )
        digest = hashlib.sha256(encoded).hexdigest()[:40]
        name = f"{tenant}/{execution_id}/{digest}"
        with _answering():
            # The name says the content: what is there is right, and putting it again would
            # take its body from under those who are reading it.
            known = await self._info(name)
            if known is None or known.size != len(encoded):
                await (await self._objects()).put(name, encoded)
        return {"$ref": REF_PREFIX + name, "size": len(encoded), "type": _type_name(value)}

    async def _objects(self) -> ObjectStore:
        if self._bucket is None:
            name = names.bucket_name(self._bus.prefix, names.VALUES)
            self._bucket = await self._bus.nc.jetstream(timeout=30).object_store(name)
        return self._bucket


class _Resolver:
    """Replaces the references in one JSON value and keeps count of what that comes to."""

    def __init__(self, store: ValueStore, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._bytes = 0
        self._read: dict[str, bytes] = {}

    async def resolve(self, value: Any) -> Any:
        if is_value_ref(value):
            return await self._value(value)
        if isinstance(value, dict):
            if not any(isinstance(item, dict | list) for item in value.values()):
                return value
            return {key: await self.resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            if not any(isinstance(item, dict | list) for item in value):
                return value
            return [await self.resolve(item) for item in value]
        return value

    async def _value(self, ref: ValueRef) -> Any:
        encoded = self._read.get(ref["$ref"])
        if encoded is None:
            encoded = self._read[ref["$ref"]] = await self._store.encoded(ref, self._tenant)
        self._bytes += len(encoded)
        if self._bytes > EXECUTION_LIMIT_BYTES:
            raise PayloadTooLarge(
                f"The values referred to come to over {EXECUTION_LIMIT_BYTES:,} bytes."
            )
        return orjson.loads(encoded or b"null")


@contextmanager
def _answering() -> Iterator[None]:
    """Silence and refusals of the store are told apart from values that are not there."""
    try:
        yield
    except APIError as error:
        if error.err_code in _STREAM_FULL:
            raise StreamFull(f"The value store is full ({error.description}).") from error
        raise BusDown(f"The value store refuses: {error.description}.") from error
    except (NatsError, TimeoutError, OSError) as error:
        raise BusDown(f"The value store does not answer: {type(error).__name__}.") from error


def _shown(ref: ValueRef) -> str:
    return ref["$ref"][:100]


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
