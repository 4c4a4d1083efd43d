"""The pure `router` node: keyword, pattern, rules or default; it writes `intent`.

Routes are tried in order and the first that matches wins; none matching gives
`default_intent`, and without one the intent is null, with a warning. Keywords match whole words
or phrases whatever the case (`match: "substring"` loosens that); patterns are RE2, searched
anywhere; rules are CEL with the router's short forms. The llm and ml strategies are not pure.
"""

from collections.abc import Callable, Mapping
from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node
from agentflow.engine.errors import ConditionError
from agentflow.engine.nodes.keywords import holds_phrase, normal
from agentflow.engine.nodes.metadata import Route, RouterMetadata
from agentflow.engine.nodes.values import routed_text
from agentflow.engine.patterns import compile_pattern
from agentflow.engine.rules import compile_rule

PURE_STRATEGIES = ("keyword", "pattern", "rules", "default")
State = Mapping[str, Any]
Matches = Callable[[str, str, State], bool]
"""Of (the routed text, the same normalised for keywords, the state)."""


class RouterNode:
    """A compiled `router` node."""

    def __init__(self, node: Node) -> None:
        """Raises ValidationError, BadPattern or BadCondition when the metadata cannot be used."""
        metadata = RouterMetadata.model_validate(node.metadata)
        if metadata.strategy not in PURE_STRATEGIES:
            raise NodeFailed(
                "unsupported_strategy",
                f"The router strategy {metadata.strategy!r} needs a worker.",
            )
        self._metadata = metadata
        self._key = metadata.output_key or "intent"
        tried = () if metadata.strategy == "default" else metadata.routes
        self._routes = [(route.intent, _matcher(metadata, route)) for route in tried]

    def run(self, state: State) -> NodeResult:
        """The intent; raises NodeFailed `rule_failed` when a rule cannot be decided."""
        if not self._routes:
            return self._result(self._metadata.default_intent, None)
        text = routed_text(state, self._metadata.input_key)
        folded = normal(text) if self._metadata.strategy == "keyword" else ""
        for intent, matches in self._routes:
            try:
                matched = matches(text, folded, state)
            except ConditionError as error:
                raise NodeFailed(
                    "rule_failed", f"The rule of {intent!r}: {error.message}", hint=error.hint
                ) from None
            if matched:
                return self._result(intent, text)
        return self._result(self._metadata.default_intent, text)

    def _result(self, intent: str | None, text: str | None) -> NodeResult:
        warnings = (
            () if intent is not None else ("No route matched and there is no default_intent.",)
        )
        return NodeResult(output=intent, output_key=self._key, input=text, warnings=warnings)


def _matcher(metadata: RouterMetadata, route: Route) -> Matches:
    if metadata.strategy == "keyword":
        return _keyword_matcher(route, (route.match or metadata.match) == "substring")
    if metadata.strategy == "pattern":
        return _pattern_matcher(route)
    if route.condition is None:
        return _never
    rule = compile_rule(route.condition)
    return lambda text, _, state: rule.holds(text, state)


def _keyword_matcher(route: Route, loose: bool) -> Matches:
    phrases = [phrase for keyword in route.keywords if (phrase := normal(keyword))]
    if loose:
        return lambda _, folded, __: any(phrase in folded for phrase in phrases)
    return lambda _, folded, __: any(holds_phrase(folded, phrase) for phrase in phrases)


def _pattern_matcher(route: Route) -> Matches:
    if route.pattern is None:
        return _never
    pattern = compile_pattern(route.pattern, route.ignore_case)
    return lambda text, _, __: pattern.search(text) is not None


def _never(_: str, __: str, ___: State) -> bool:
    return False
