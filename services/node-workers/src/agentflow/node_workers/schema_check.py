"""JSON Schema checks of what came back. Remote references are never fetched."""

from typing import Any

import jsonschema_rs

from agentflow.contracts.errors import NodeFailed

_MOST_TOLD = 5


def check_schema(schema: dict[str, Any], value: Any, what: str) -> None:
    """Raise NodeFailed `bad_output` telling how `value` breaks `schema`."""
    try:
        validator = jsonschema_rs.validator_for(schema, retriever=_refuse)
    except (ValueError, jsonschema_rs.ValidationError):
        raise NodeFailed(
            "bad_schema", "The node's response_schema is not a usable JSON Schema."
        ) from None
    faults = []
    for error in validator.iter_errors(value):
        path = "/".join(str(step) for step in error.instance_path)
        faults.append(f"/{path}: {error.message}"[:300])
        if len(faults) == _MOST_TOLD:
            break
    if faults:
        raise NodeFailed(
            "bad_output",
            f"{what} does not fit response_schema: {'; '.join(faults)}",
            retryable=True,
            details={"faults": faults},
        )


def _refuse(uri: str) -> Any:
    raise ValueError(f"remote reference {uri}")
