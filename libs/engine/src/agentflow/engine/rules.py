"""Rules of a router: CEL over the state and the routed input, with short forms.

`contains('x')`, `starts_with('x')`, `ends_with('x')`, `equals('x')`, `length_gt(n)` and
`length_lt(n)` speak of the routed input; lengths are characters. They are rewritten to CEL
over the variable `input` (the routed input, which hides a state key of that name) and may be
mixed with any condition: `contains('refund') && cost < 1.0`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from agentflow.engine.cel_text import Token, tokens
from agentflow.engine.conditions import MAX_LENGTH, Condition, compile_condition
from agentflow.engine.errors import BadCondition

INPUT: Final = "input"
LENGTH: Final = "input_length"
_PLACE = re.compile(r" at line \d+, column \d+")
_FORMS: Final = {
    "contains": (f"{INPUT}.contains(", ")"),
    "starts_with": (f"{INPUT}.startsWith(", ")"),
    "ends_with": (f"{INPUT}.endsWith(", ")"),
    "equals": (f"({INPUT} == (", "))"),
    "length_gt": (f"({LENGTH} > (", "))"),
    "length_lt": (f"({LENGTH} < (", "))"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A compiled rule. `names` are the top-level state keys it reads."""

    text: str
    names: frozenset[str]
    _condition: Condition = field(repr=False)

    def holds(self, routed_input: str, state: Mapping[str, Any]) -> bool:
        """Whether the rule is true; raises ConditionError when it cannot be said."""
        seen = {name: state.get(name) for name in self.names}
        seen[INPUT] = routed_input
        seen[LENGTH] = len(routed_input)
        return self._condition.holds(seen)


def compile_rule(text: str) -> Rule:
    """Compile `text`; raises BadCondition (line and column of the text where it is known)."""
    if not isinstance(text, str):
        raise BadCondition("A rule is a text.")
    if len(text) > MAX_LENGTH:
        raise BadCondition(f"The rule has {len(text):,} characters; at most {MAX_LENGTH:,} fit.")
    return _compile(text)


@lru_cache(maxsize=4096)
def _compile(text: str) -> Rule:
    rewritten = _to_cel(text)
    try:
        condition = compile_condition(rewritten)
    except BadCondition as error:
        if rewritten == text:
            raise
        raise BadCondition(_PLACE.sub("", error.message), hint=error.hint) from None
    return Rule(text, condition.names - {INPUT, LENGTH}, condition)


def _to_cel(text: str) -> str:
    """`text` with the short forms spelled out; anything else stays as it is."""
    words = list(tokens(text))
    parts: list[str] = []
    closers: list[str] = []
    copied = 0
    for index, word in enumerate(words):
        if form := _form_at(words, index):
            opening, closing = form
            parts += [text[copied : word.start], opening]
            copied = words[index + 1].start + 1
            closers.append(closing)
        elif word.text == "(" and not (index and _form_at(words, index - 1)):
            closers.append(")")
        elif word.text == ")" and closers:
            parts += [text[copied : word.start], closers.pop()]
            copied = word.start + 1
    return "".join([*parts, text[copied:]])


def _form_at(words: list[Token], index: int) -> tuple[str, str] | None:
    word = words[index]
    called = index + 1 < len(words) and words[index + 1].text == "("
    method = index > 0 and words[index - 1].text == "."
    return _FORMS.get(word.text) if word.kind == "name" and called and not method else None
