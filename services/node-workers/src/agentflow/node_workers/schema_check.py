"""JSON Schema checks of what came back; the engine's schemas never fetch a reference."""

from functools import lru_cache
from typing import Any

import orjson

from agentflow.contracts.errors import NodeFailed
from agentflow.engine.schemas import JsonSchema, compile_schema

_MOST_TOLD = 5


def check_schema(schema: Any, value: Any, what: str) -> None:
    """Raise NodeFailed `bad_output` telling how `value` breaks `schema`; BadSchema."""
    faults = _compiled(orjson.dumps(schema)).problems(value, _MOST_TOLD)
    if faults:
        raise NodeFailed(
            "bad_output",
            f"{what} does not fit response_schema: {'; '.join(faults)}",
            retryable=True,
            details={"faults": list(faults)},
        )


@lru_cache(maxsize=256)
def _compiled(schema: bytes) -> JsonSchema:
    return compile_schema(orjson.loads(schema))
