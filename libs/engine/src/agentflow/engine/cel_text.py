"""Reading CEL as tokens, to know what the compiler does not tell.

CEL's compiler reports names without scopes, and nothing interrupts an evaluation once it
runs. So before compiling we read the text once, without recursion, and learn: which names
are bound only inside a macro, how deep macros nest or chain, how many `+` there are, and
which functions are called where. Strings and comments are never mistaken for code.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<string>[rRbB]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''))
  | (?P<raw>(?:[rR][bB]?|[bB][rR])(?:"[^"\n]*"|'[^'\n]*'))
  | (?P<text>[bB]?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
  | (?P<number>\.?\d[\w.]*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


@dataclass(frozen=True, slots=True)
class Token:
    """One word of an expression: `kind` is string, number, name or sign; `start` an offset."""

    kind: str
    text: str
    start: int


@dataclass(slots=True)
class Reading:
    """What the text of one expression shows before it is compiled."""

    free: set[str] = field(default_factory=set)
    bound: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    brackets: int = 0
    macro_depth: int = 0
    plus_signs: int = 0
    longest_literal: int = 0

    @property
    def only_bound(self) -> set[str]:
        """Names that stand for nothing in the state."""
        return self.bound - self.free


def tokens(text: str) -> Iterator[Token]:
    """The words of `text`, spaces and comments left out."""
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "sign"
        if kind != "space":
            yield Token("string" if kind in ("raw", "text") else kind, match.group(), match.start())


@dataclass(slots=True)
class _Bracket:
    binds: str | None = None
    is_macro: bool = False
    depth_before: int = 0
    commas: int = 0


def read(text: str) -> Reading:
    """One pass over `text`; broken text gives a partial answer and never an error."""
    words = list(tokens(text))
    reading = Reading()
    stack: list[_Bracket] = []
    macros_open = 0
    for index, word in enumerate(words):
        if word.kind == "name":
            _read_name(words, index, reading, stack)
        elif word.text in _OPEN:
            bracket = _open_bracket(words, index, reading)
            stack.append(bracket)
            macros_open += bracket.is_macro
            reading.brackets = max(reading.brackets, len(stack))
            if bracket.is_macro:
                depth = macros_open + bracket.depth_before
                reading.macro_depth = max(reading.macro_depth, depth)
        elif word.text in _CLOSE and stack:
            macros_open -= stack.pop().is_macro
        elif word.text == "+":
            reading.plus_signs += 1
        elif word.text == "," and stack:
            stack[-1].commas += 1
            reading.longest_literal = max(reading.longest_literal, stack[-1].commas + 1)
    return reading


def _open_bracket(words: list[Token], index: int, reading: Reading) -> _Bracket:
    """A macro's bracket binds its first name; one chained onto a call goes on where that ended."""
    before = words[index - 1] if index else None
    dotted = index >= 2 and words[index - 2].text == "."
    if words[index].text != "(" or not dotted or before is None or before.text not in MACROS:
        return _Bracket()
    first = words[index + 1] if index + 1 < len(words) else None
    chained = index >= 3 and words[index - 3].text in _CLOSE
    return _Bracket(
        binds=first.text if first and first.kind == "name" else None,
        is_macro=True,
        depth_before=reading.macro_depth if chained else 0,
    )


def _read_name(words: list[Token], index: int, reading: Reading, stack: list[_Bracket]) -> None:
    text = words[index].text
    following = words[index + 1].text if index + 1 < len(words) else ""
    if following == "(":
        reading.calls.add(text)
    elif index and words[index - 1].text == ".":
        return
    elif any(bracket.binds == text for bracket in stack):
        reading.bound.add(text)
    else:
        reading.free.add(text)
