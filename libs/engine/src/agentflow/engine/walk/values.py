"""Large values stand in the state as references; a condition that reads one needs the value.

References stand where a node's output or one of its writes stood: at the top of the state,
under `outputs`, or as one element of an appended list. Deeper ones are users' data.
"""

from collections.abc import Mapping
from typing import Any

from agentflow.contracts.state import APPENDING_KEYS, JsonObject, is_value_ref
from agentflow.engine.state_keys import OUTPUTS


def fill(state: JsonObject, loaded: Mapping[str, Any]) -> set[str]:
    """Put loaded values in place of their references; returns the references still missing.

    `state` comes fresh from the fold: its own containers may be changed.
    """
    missing = _fill_object(state, loaded)
    outputs = state.get(OUTPUTS)
    if isinstance(outputs, dict):
        missing |= _fill_object(outputs, loaded)
    for key in APPENDING_KEYS:
        items = state.get(key)
        if isinstance(items, list):
            for number, item in enumerate(items):
                if is_value_ref(item):
                    items[number] = _value(item, loaded, missing)
    return missing


def _fill_object(state: JsonObject, loaded: Mapping[str, Any]) -> set[str]:
    missing: set[str] = set()
    for key, value in state.items():
        if is_value_ref(value):
            state[key] = _value(value, loaded, missing)
    return missing


def _value(reference: Any, loaded: Mapping[str, Any], missing: set[str]) -> Any:
    name = reference["$ref"]
    if name in loaded:
        return loaded[name]
    missing.add(name)
    return reference
