"""Making a state fit into a message: the largest values go to the object store first."""

from typing import Any

import orjson

from agentflow.bus.values import ValueStore
from agentflow.contracts.state import is_value_ref

MESSAGE_BUDGET = 512 * 1024
"""Bytes of inline values in one message; far below the server's limit."""
_WORTH_A_REFERENCE = 1024


async def fit(
    state: dict[str, Any], values: ValueStore, tenant: str, execution_id: str
) -> dict[str, Any]:
    """The same state with enough values replaced by references to stay in the budget.

    Raises PayloadTooLarge when a single value is over the hard limit.
    """
    if len(orjson.dumps(state)) <= MESSAGE_BUDGET:
        return state
    fitted = dict(state)
    outputs = dict(fitted.get("outputs") or {})
    places: list[tuple[int, dict[str, Any], str]] = [
        (len(orjson.dumps(value)), holder, key)
        for holder in (fitted, outputs)
        for key, value in holder.items()
        if not (holder is fitted and key == "outputs") and not is_value_ref(value)
    ]
    total = sum(size for size, _, _ in places)
    for size, holder, key in sorted(places, key=lambda place: -place[0]):
        if total <= MESSAGE_BUDGET or size < _WORTH_A_REFERENCE:
            break
        holder[key] = await values.put(holder[key], tenant, execution_id)
        total -= size
    if "outputs" in fitted:
        fitted["outputs"] = outputs
    if total > MESSAGE_BUDGET:
        return {
            key: await values.offload_value(value, tenant, execution_id)
            for key, value in fitted.items()
        }
    return fitted
