"""An Idempotency-Key names one execution for 24 hours.

The key is claimed with create-if-absent before anything is published, together with the
execution's id, so that a repeat after `outcome_unknown` publishes the same command with the
same id. Another body under the same key is a conflict. The bucket's age limit forgets keys.
"""

import asyncio
import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.kv import KeyValue

from agentflow.bus import names
from agentflow.bus.bus import Bus
from agentflow.contracts.ids import ExecutionId
from agentflow.gateway.bus_calls import answered
from agentflow.gateway.errors import Conflict, MalformedRequest

_MAX_KEY = 255


@dataclass(frozen=True, slots=True)
class Claim:
    """What a key stands for. `stored`: the command is known to be in the stream."""

    name: str
    execution_id: ExecutionId
    body_hash: str
    stored: bool
    is_new: bool
    revision: int


class IdempotencyKeys:
    """The installation's bucket of keys."""

    def __init__(self, bus: Bus, seconds: float) -> None:
        self._bus = bus
        self._seconds = seconds
        self._bucket: KeyValue | None = None
        self._marking: set[asyncio.Task[None]] = set()

    async def claim(self, tenant: str, key: str, body: Any, execution_id: ExecutionId) -> Claim:
        """The claim on `key`: ours with `execution_id`, or the earlier one.

        Raises Conflict when the key stands for another body, MalformedRequest, BusDown.
        """
        name = _name(tenant, key)
        body_hash = _body_hash(body)
        async with answered(self._bus, self._seconds):
            bucket = await self._open()
            try:
                revision = await bucket.create(name, _entry(execution_id, body_hash, False))
                return Claim(name, execution_id, body_hash, False, True, revision)
            except KeyWrongLastSequenceError:
                found = await bucket.get(name)
        earlier = orjson.loads(found.value or b"{}")
        claim = Claim(
            name,
            ExecutionId(earlier["execution_id"]),
            earlier["body_hash"],
            earlier["stored"],
            False,
            found.revision or 0,
        )
        if claim.body_hash != body_hash:
            raise Conflict(
                "idempotency_key_reused",
                "This Idempotency-Key was used with another body in the last 24 hours.",
                execution_id=claim.execution_id,
            )
        return claim

    def mark_stored(self, claim: Claim) -> None:
        """Note, without waiting, that the command is in the stream.

        Should the note be lost, a repeat publishes the same command with the same id again,
        which changes nothing.
        """
        task = asyncio.create_task(self._mark(claim))
        self._marking.add(task)
        task.add_done_callback(self._marking.discard)

    async def release(self, claim: Claim) -> None:
        """Forget a claim whose request was refused before anything was published."""
        if not claim.is_new:
            return
        try:
            async with asyncio.timeout(self._seconds):
                await (await self._open()).delete(claim.name, last=claim.revision)
        except (NatsError, TimeoutError):
            return  # the claim stays: a repeat is refused for the same reason again

    async def close(self) -> None:
        """Wait shortly for notes on their way."""
        if self._marking:
            await asyncio.wait(self._marking, timeout=2)

    async def _mark(self, claim: Claim) -> None:
        entry = _entry(claim.execution_id, claim.body_hash, True)
        try:
            await (await self._open()).update(claim.name, entry, last=claim.revision)
        except (NatsError, TimeoutError, KeyNotFoundError):
            return

    async def _open(self) -> KeyValue:
        if self._bucket is None:
            name = names.bucket_name(self._bus.prefix, names.IDEMPOTENCY)
            self._bucket = await self._bus.nc.jetstream().key_value(name)
        return self._bucket


def _name(tenant: str, key: str) -> str:
    if not key or len(key) > _MAX_KEY or not key.isascii() or not key.isprintable():
        raise MalformedRequest(f"An Idempotency-Key is 1 to {_MAX_KEY} printable ASCII characters.")
    return f"{tenant}.{hashlib.sha256(key.encode()).hexdigest()}"


def _body_hash(body: Any) -> str:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _entry(execution_id: ExecutionId, body_hash: str, stored: bool) -> bytes:
    return orjson.dumps({"execution_id": execution_id, "body_hash": body_hash, "stored": stored})
