"""Nothing leaves a node that a database could not store.

Text is cleaned of NUL and lone surrogates, because the answer was paid for. Numbers that
JSON has no form for (NaN, infinities, beyond 64 bits) and foreign types are `bad_output`,
with the place in the output.
"""

import math
from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.strict_json import clean_text

_MAX_DEPTH = 100
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1


def storable(value: Any, where: str = "output", depth: int = 0) -> Any:
    """`value` as JSON that can be stored; raises NodeFailed `bad_output`."""
    kind = type(value)
    if kind is str:
        return clean_text(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        if _SMALLEST <= value <= _LARGEST:
            return value
        raise _bad(where, "a number that does not fit into 64 bits")
    if kind is float:
        if math.isfinite(value):
            return value
        raise _bad(where, f"the number {value}, which JSON does not have")
    if depth >= _MAX_DEPTH:
        raise _bad(where, f"nesting deeper than {_MAX_DEPTH} levels")
    if kind is dict:
        return {
            _key(key, where): storable(item, f"{where}.{key}", depth + 1)
            for key, item in value.items()
        }
    if kind is list or kind is tuple:
        return [storable(item, f"{where}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise _bad(where, f"a value of type {kind.__name__}")


def _key(key: Any, where: str) -> str:
    if isinstance(key, str):
        cleaned: str = clean_text(key)
        return cleaned
    raise _bad(where, f"a key of type {type(key).__name__}")


def _bad(where: str, what: str) -> NodeFailed:
    return NodeFailed("bad_output", f"The node's {where} holds {what}.")
