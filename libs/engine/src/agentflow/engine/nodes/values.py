"""Finding and wording values: what a name in a node's metadata stands for in its state."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from agentflow.engine.templates import MISSING, as_text, compile_template, look_up

RUNTIME_KEYS: Final = frozenset(
    {"outputs", "execution_path", "tokens_used", "cost", "errors", "metadata"}
)
"""State keys the walk adds; the rest is what the user gave or nodes wrote."""
_WHOLE: Final = re.compile(r"\{([^\W\d][\w-]*(?:\.[\w-]+)*)\}")


def find(state: Mapping[str, Any], name: str) -> Any:
    """What `name` stands for: a state key, a dotted path, or (a path into) a node's output.

    MISSING when it stands for nothing.
    """
    if name in state:
        return state[name]
    path = tuple(name.split("."))
    found = look_up(state, path)
    if found is MISSING and isinstance(outputs := state.get("outputs"), Mapping):
        found = outputs[name] if name in outputs else look_up(outputs, path)
    return found


def fill(setting: Any, state: Mapping[str, Any], engine: str) -> tuple[Any, tuple[str, ...]]:
    """`setting` with every text in it rendered, and the warnings of that.

    A text that is one whole placeholder becomes the value itself, with its type.
    """
    if isinstance(setting, str):
        whole = _WHOLE.fullmatch(setting) if engine == "simple" else None
        found = look_up(state, tuple(whole.group(1).split("."))) if whole else MISSING
        return compile_template(setting, engine).render(state) if found is MISSING else (found, ())
    if isinstance(setting, Mapping):
        filled = {key: fill(value, state, engine) for key, value in setting.items()}
        warnings = [warning for _, told in filled.values() for warning in told]
        return {key: value for key, (value, _) in filled.items()}, tuple(warnings)
    if isinstance(setting, list | tuple):
        parts = [fill(value, state, engine) for value in setting]
        return [value for value, _ in parts], tuple(w for _, told in parts for w in told)
    return setting, ()


def is_blank(value: Any) -> bool:
    """Absent, null, or a text of nothing but white space."""
    return value is MISSING or value is None or (isinstance(value, str) and not value.strip())


def routed_text(state: Mapping[str, Any], input_key: str | None) -> str:
    """The text a router looks at: `input_key`, else `user_input`, else what came in, as JSON."""
    for name in (input_key, "user_input"):
        value = find(state, name) if name else None
        if value is not MISSING and value is not None:
            return as_text(value)
    given = {key: value for key, value in state.items() if key not in RUNTIME_KEYS}
    return json.dumps(given, ensure_ascii=False)
