"""The `aggregator` node: brings the results of several nodes together.

`source_keys` name state keys, dotted paths, or nodes (their output); a name that stands for
nothing, or for null, is left out: a skipped branch never fails the join. Strategies:

* merge: one object; objects among the sources are merged (later ones win), others keep their
  key. Without `source_keys`: the outputs of all ancestors, by node id.
* priority: the first source that is not null, in `priority_order`, else `source_keys`.
* template: `template`, rendered from the state.
* concat: the sources as texts (JSON where they are not), with `separator` between them.
* select: an object of just the sources, by the names given.
* expression: the value of the CEL `expression` over the state.

With `include_metadata` the result is wrapped with execution_path, tokens_used, cost, and
`custom_fields`, whose texts are templates (one whole placeholder keeps the value's type).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node
from agentflow.engine.conditions import compile_condition
from agentflow.engine.errors import ConditionError
from agentflow.engine.nodes.metadata import AggregatorMetadata
from agentflow.engine.nodes.values import fill, find
from agentflow.engine.templates import MISSING, as_text, compile_template

State = Mapping[str, Any]
Combined = tuple[Any, tuple[str, ...]]
"""The result and the warnings."""


class AggregatorNode:
    """A compiled `aggregator` node."""

    def __init__(self, node: Node) -> None:
        """Raises ValidationError, BadTemplate or BadCondition when the metadata cannot be used."""
        self._metadata = AggregatorMetadata.model_validate(node.metadata)
        self._key = self._metadata.output_key or "final_output"
        self._combine = _strategy(self._metadata)

    def run(self, state: State) -> NodeResult:
        """The combined value; raises NodeFailed when a template or expression cannot be done."""
        result, warnings = self._combine(state)
        if self._metadata.include_metadata:
            custom, more = fill(self._metadata.custom_fields, state, self._metadata.template_engine)
            warnings += more
            result = {
                **custom,
                "result": result,
                "execution_path": list(state.get("execution_path") or ()),
                "tokens_used": state.get("tokens_used", 0),
                "cost": state.get("cost", 0),
            }
        return NodeResult(output=result, output_key=self._key, warnings=warnings)


def _strategy(metadata: AggregatorMetadata) -> Callable[[State], Combined]:
    if metadata.strategy == "template":
        template = compile_template(
            _needed(metadata.template, "template"), metadata.template_engine
        )
        return template.render
    if metadata.strategy == "expression":
        return _expression(_needed(metadata.expression, "expression"))
    keys = tuple(dict.fromkeys(metadata.source_keys))
    if metadata.strategy == "priority":
        return _priority(tuple(dict.fromkeys(metadata.priority_order)) or keys)
    if metadata.strategy == "concat":
        return lambda state: (_concat(state, keys, metadata.separator), ())
    if metadata.strategy == "select":
        return lambda state: (dict(_present(state, keys)), ())
    return lambda state: (_merge(state, keys), ())


def _needed(value: str | None, name: str) -> str:
    if value is None:
        raise NodeFailed("invalid_config", f"The aggregator has no {name}.")
    return value


def _present(state: State, keys: Sequence[str]) -> list[tuple[str, Any]]:
    """The sources that are there and not null; all ancestors' outputs where none are named."""
    if not keys:
        outputs = state.get("outputs")
        found = list(outputs.items()) if isinstance(outputs, Mapping) else []
    else:
        found = [(key, find(state, key)) for key in keys]
    return [(key, value) for key, value in found if value is not MISSING and value is not None]


def _merge(state: State, keys: Sequence[str]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key, value in _present(state, keys):
        merged.update(value if isinstance(value, Mapping) else {key: value})
    return merged


def _concat(state: State, keys: Sequence[str], separator: str) -> str:
    return separator.join(as_text(value) for _, value in _present(state, keys))


def _priority(keys: Sequence[str]) -> Callable[[State], Combined]:
    def first(state: State) -> Combined:
        present = _present(state, keys)
        return (present[0][1], ()) if present else (None, ("None of the sources is there.",))

    return first


def _expression(text: str) -> Callable[[State], Combined]:
    condition = compile_condition(text)

    def value(state: State) -> Combined:
        try:
            return condition.value(state), ()
        except ConditionError as error:
            raise NodeFailed("expression_failed", error.message, hint=error.hint) from None

    return value
