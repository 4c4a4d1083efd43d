"""GraphState: the JSON object that flows through a workflow.

A node never changes it; it returns writes, and the state is the fold of the initial
state and the writes. Values over the inline limit are references (`ValueRef`).
"""

from typing import Any, TypedDict, TypeGuard

JsonObject = dict[str, Any]

ADDING_KEYS = ("tokens_used", "cost")
"""Written values are added up."""
MERGING_KEYS = ("metadata",)
"""Written objects are merged, later keys win."""
APPENDING_KEYS = ("errors", "execution_path")
"""Written lists are appended."""

INLINE_LIMIT_BYTES = 64 * 1024
"""A value whose JSON is longer travels by reference through the object store."""
VALUE_LIMIT_BYTES = 32 * 1024 * 1024
"""A single value may not be larger; the node fails with payload_too_large."""
EXECUTION_LIMIT_BYTES = 256 * 1024 * 1024
"""All values of one execution together may not be larger."""


class GraphState(TypedDict, total=False):
    """The well-known keys; any other key is allowed."""

    user_input: Any
    intent: str
    text_result: Any
    image_result: Any
    db_result: Any
    api_result: Any
    final_output: Any
    tokens_used: int
    cost: float
    metadata: JsonObject
    errors: list[JsonObject]
    execution_path: list[str]
    outputs: JsonObject


ValueRef = TypedDict("ValueRef", {"$ref": str, "size": int, "type": str})
"""Stands in for a large value: `$ref` is its name in the object store, `size` is in bytes."""

REF_PREFIX = "agentflow-object:"


def is_value_ref(value: object) -> TypeGuard[ValueRef]:
    """Whether `value` is a reference as AgentFlow writes them (users' own `$ref` keys are data).

    Whoever sends a state can write one as well: the shape is all that may be relied on.
    """
    return (
        isinstance(value, dict)
        and len(value) == 3
        and isinstance(ref := value.get("$ref"), str)
        and ref.startswith(REF_PREFIX)
        and type(size := value.get("size")) is int
        and size >= 0
        and isinstance(value.get("type"), str)
    )
