"""References in an answer are replaced by their values, up to a limit of bytes in all.

What is beyond the limit stays a reference: the caller can see its size and fetch less.
"""

from typing import Any

import orjson

from agentflow.bus.bus import Bus
from agentflow.bus.values import ValueNotFound, ValueStore, find_refs
from agentflow.contracts.errors import DependencyDown
from agentflow.contracts.state import is_value_ref
from agentflow.gateway.bus_calls import answered

_SECONDS = 30.0


class LargeValues:
    """Gives the values behind references, and takes large ones off a command."""

    def __init__(self, bus: Bus, limit_bytes: int) -> None:
        self._bus = bus
        self._store = ValueStore(bus)
        self._limit = limit_bytes

    async def offload(
        self, state: dict[str, Any], tenant: str, execution_id: str
    ) -> dict[str, Any]:
        """`state` with each value over 64 KiB stored and replaced by a reference."""
        async with answered(self._bus, _SECONDS):
            return await self._store.offload(state, tenant, execution_id)

    async def resolve(self, value: Any, tenant: str) -> Any:
        """`value` with references replaced; those beyond the limit or gone stay as they are."""
        refs = find_refs(value)
        if not refs:
            return value
        left = self._limit
        values: dict[str, Any] = {}
        for ref in refs:
            if ref["$ref"] in values or not _fits(ref["size"], left):
                continue
            try:
                async with answered(self._bus, _SECONDS):
                    values[ref["$ref"]] = await self._store.get(ref, tenant)
            except (ValueNotFound, DependencyDown):
                continue
            # A user can write a reference with any size in it: count what really came.
            left -= len(orjson.dumps(values[ref["$ref"]]))
        return _replaced(value, values)


def _fits(size: object, left: int) -> bool:
    return isinstance(size, int) and size <= left


def _replaced(value: Any, values: dict[str, Any]) -> Any:
    if is_value_ref(value):
        return values.get(value["$ref"], value)
    if isinstance(value, dict):
        return {key: _replaced(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, values) for item in value]
    return value
