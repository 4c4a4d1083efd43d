"""The `input` node: checks what came in, writes nothing.

`required`, `min_length` and `max_length` speak of `user_input`; `required_fields` are looked
up in the state, then in `user_input` when that is an object. A JSON `schema` describes
`user_input`, or the whole state when it names `user_input` itself, or when it is for an object
and `user_input` is none. All problems are told at once.
"""

from collections.abc import Mapping
from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node
from agentflow.engine.nodes.metadata import InputMetadata, InputValidation
from agentflow.engine.nodes.values import RUNTIME_KEYS, find, is_blank
from agentflow.engine.schemas import JsonSchema, compile_schema
from agentflow.engine.templates import MISSING, as_text

USER_INPUT = "user_input"


class InputNode:
    """A compiled `input` node."""

    def __init__(self, node: Node) -> None:
        """Raises ValidationError or BadSchema when the metadata cannot be used."""
        self._checks: InputValidation = InputMetadata.model_validate(node.metadata).validation
        schema = self._checks.json_schema
        self._schema: JsonSchema | None = None if schema is None else compile_schema(schema)

    def run(self, state: Mapping[str, Any]) -> NodeResult:
        """Nothing to write; raises NodeFailed `invalid_input` with every problem."""
        problems = [
            *_presence(self._checks, state),
            *_length(self._checks, state.get(USER_INPUT)),
        ]
        if self._schema is not None:
            problems += self._schema.problems(_described(self._checks.json_schema, state))
        if problems:
            raise NodeFailed(
                "invalid_input",
                f"The input is not valid: {'; '.join(problems)}.",
                details={"problems": problems},
            )
        return NodeResult()


def _presence(checks: InputValidation, state: Mapping[str, Any]) -> list[str]:
    problems = []
    if checks.required and is_blank(state.get(USER_INPUT)):
        problems.append("user_input is required")
    given = state.get(USER_INPUT)
    for name in checks.required_fields:
        value = find(state, name)
        if is_blank(value) and isinstance(given, Mapping):
            value = find(given, name)
        if is_blank(value):
            problems.append(f"the field {name!r} is required")
    return problems


def _length(checks: InputValidation, given: Any) -> list[str]:
    if given is None or (checks.min_length is None and checks.max_length is None):
        return []
    length = len(as_text(given))
    problems = []
    if checks.min_length is not None and length < checks.min_length:
        problems.append(f"user_input has {length} characters, at least {checks.min_length} needed")
    if checks.max_length is not None and length > checks.max_length:
        problems.append(f"user_input has {length} characters, at most {checks.max_length} allowed")
    return problems


def _described(schema: Any, state: Mapping[str, Any]) -> Any:
    """The part of the state that the schema is about."""
    given = state.get(USER_INPUT, MISSING)
    whole = {key: value for key, value in state.items() if key not in RUNTIME_KEYS}
    if given is MISSING or not isinstance(schema, Mapping):
        return whole if given is MISSING else given
    properties, required = schema.get("properties"), schema.get("required")
    if (isinstance(properties, Mapping) and USER_INPUT in properties) or (
        isinstance(required, list) and USER_INPUT in required
    ):
        return whole
    for_objects = schema.get("type", "object" if properties or required else None) == "object"
    return whole if for_objects and not isinstance(given, Mapping) else given
