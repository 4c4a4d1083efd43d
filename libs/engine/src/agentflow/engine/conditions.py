"""Conditions: CEL expressions over the state, compiled once, never Python eval.

A condition sees only the top-level names it mentions; a name the state does not hold is
null. It says true or false, or raises ConditionError: it never guesses. A text that could
crash or stall the process (depth, chains, macros in macros over long lists) is refused when
compiled, or when it meets data too large for it.

A state key that is a reserved noun of CEL (`package`, `loop`, `function` …) can be read all the
same. `size()` of a string counts UTF-8 bytes, as the CEL library does; of a list or map, elements.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, Literal

import cel

from agentflow.engine.cel_text import MACROS, Reading, read, tokens
from agentflow.engine.errors import BadCondition, ConditionError

EdgeConditionKind = Literal["always", "intent", "else", "cel"]

MAX_LENGTH: Final = 4_000
MAX_BRACKETS: Final = 40
MAX_MACRO_DEPTH: Final = 3
MAX_PLUS_SIGNS: Final = 50
MAX_PLUS_SIGNS_IN_MACROS: Final = 8
MAX_STEPS: Final = 10**9
"""Upper bound of (longest list) ** (macro depth + 1): about what one core counts in seconds."""
MAX_RESULT: Final = 4 * 10**6
"""The same bound where the result itself is handed out, so that it fits into memory."""

_TYPES = "bool bytes double duration dyn int list map null_type string timestamp type uint"
_NATIVE = (
    "size contains startsWith endsWith matches "
    "int uint double string bytes type dyn timestamp duration "
    "getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear getHours getMinutes "
    "getSeconds getMilliseconds of none ofNonZeroValue value hasValue or orValue"
)
TYPE_NAMES: Final = frozenset(_TYPES.split())
NATIVE_FUNCTIONS: Final = frozenset(_NATIVE.split())
RESERVED_NOUNS: Final = frozenset(
    {"const", "function", "import", "let", "loop", "namespace", "package", "return", "var", "void"}
)
_RESERVED_AS: Final = "reserved__"
_OWN_FUNCTIONS: Final = {
    "lowerAscii": lambda text: str(text).lower(),
    "upperAscii": lambda text: str(text).upper(),
    "trim": lambda text: str(text).strip(),
}
_NOT_PLAIN = re.compile(rf"\b(?:{'|'.join(sorted(MACROS | RESERVED_NOUNS))})\b")
_POSITION = re.compile(r"<input>:(\d+):(\d+): (.*)")
_OPERATOR = re.compile(r"\W|^@")


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition. `names` are the top-level state keys it reads."""

    text: str
    names: frozenset[str]
    _program: cel.Program = field(repr=False)
    _functions: Mapping[str, Callable[..., Any]] = field(repr=False)
    _macro_depth: int = field(repr=False, default=0)
    _literal: int = field(repr=False, default=0)
    _reserved: frozenset[str] = field(repr=False, default=frozenset())
    _yes_or_no: cel.Program | None = field(repr=False, default=None)

    def holds(self, state: Mapping[str, Any]) -> bool:
        """Whether the condition is true; raises ConditionError when it cannot be said."""
        result = self._evaluate(self._yes_or_no or self._program, state, MAX_STEPS)
        if isinstance(result, bool):
            return result
        raise ConditionError(
            self.text,
            "it gave a value that is neither true nor false.",
            hint="Compare it with something, e.g. `x != null` or `size(x) > 0`.",
        )

    def value(self, state: Mapping[str, Any]) -> Any:
        """Whatever the expression evaluates to, as JSON values; raises ConditionError."""
        return self._evaluate(self._program, state, MAX_RESULT)

    def _evaluate(self, program: cel.Program, state: Mapping[str, Any], max_steps: int) -> Any:
        seen = {name: state.get(name) for name in self.names}
        for name in self._reserved:
            seen[_RESERVED_AS + name] = seen.pop(name)
        if self._macro_depth:
            self._refuse_too_much_work(seen, max_steps)
        context = cel.Context(seen, dict(self._functions)) if self._functions else seen
        try:
            return program.execute(context)
        except Exception as error:  # noqa: BLE001 - the CEL library raises what it likes
            raise ConditionError(self.text, _reason(error), hint=_hint(seen)) from None

    def _refuse_too_much_work(self, seen: dict[str, Any], max_steps: int) -> None:
        longest = max(self._literal, longest_list(seen))
        if longest ** (self._macro_depth + 1) > max_steps:
            raise ConditionError(
                self.text,
                f"it would visit a list of {longest:,} elements in {self._macro_depth} nested or "
                "chained macros.",
                hint="Shorten the list first, or nest fewer macros.",
            )


def compile_condition(text: str) -> Condition:
    """Compile `text`; raises BadCondition with line and column inside the text."""
    if not isinstance(text, str):
        raise BadCondition("A condition is a text.")
    if len(text) > MAX_LENGTH:
        raise BadCondition(
            f"The condition has {len(text):,} characters; at most {MAX_LENGTH:,} are accepted."
        )
    return _compile(text)


def edge_condition_kind(text: str | None, targets: Sequence[str]) -> EdgeConditionKind:
    """How an edge with this condition decides: `intent` and `else` are the walker's own forms."""
    word = (text or "").strip()
    if not word:
        return "always"
    if word == "intent" and targets:
        return "intent"
    return "else" if word == "else" else "cel"


def longest_list(value: Any) -> int:
    """The number of elements of the longest list or object anywhere in `value`."""
    longest, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            longest = max(longest, len(item))
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            longest = max(longest, len(item))
            waiting.extend(item)
    return longest


@lru_cache(maxsize=4096)
def _compile(text: str) -> Condition:
    reading = Reading() if _is_plain(text) else read(text)
    _refuse_monsters(text, reading)
    reserved = reading.free & RESERVED_NOUNS
    program = _parse(_without_reserved(text, reserved))
    called = {name for name in program.functions() if not _OPERATOR.search(name)}
    unknown = sorted(called - NATIVE_FUNCTIONS - set(_OWN_FUNCTIONS))
    if unknown:
        raise _unknown_function(text, unknown[0])
    variables = {name.removeprefix(_RESERVED_AS) for name in program.variables()}
    if any(name.startswith(".") for name in variables):
        raise BadCondition("A name starts with a dot; write `x`, not `.x`.")
    return Condition(
        text=text,
        names=frozenset(variables - reading.only_bound - _type_names(called)),
        _program=program,
        _functions={name: _OWN_FUNCTIONS[name] for name in called & set(_OWN_FUNCTIONS)},
        _macro_depth=reading.macro_depth,
        _literal=reading.longest_literal,
        _reserved=frozenset(reserved),
        _yes_or_no=(
            _parse(f"({program.source}\n) ? true : false") if reading.macro_depth else None
        ),
    )


def _is_plain(text: str) -> bool:
    """Short, without macros and reserved nouns: nothing that a closer reading would find."""
    return len(text) <= 2 * MAX_BRACKETS and not _NOT_PLAIN.search(text)


def _without_reserved(text: str, reserved: set[str]) -> str:
    """The text with reserved nouns under a name CEL accepts."""
    if not reserved:
        return text
    parts, copied, before = [], 0, ""
    for word in tokens(text):
        if word.kind == "name" and word.text in reserved and before != ".":
            parts += [text[copied : word.start], _RESERVED_AS]
            copied = word.start
        before = word.text
    return "".join([*parts, text[copied:]])


def _type_names(called: set[str]) -> frozenset[str]:
    """Names that are CEL's own here: `int` in `type(x) == int`, `optional` in `optional.of(1)`."""
    types = TYPE_NAMES if "type" in called else frozenset()
    return types | {"optional"} if called & {"of", "none", "ofNonZeroValue"} else types


def _refuse_monsters(text: str, reading: Reading) -> None:
    limits = (
        (reading.brackets, MAX_BRACKETS, "brackets nested {}-fold; at most {} levels"),
        (reading.macro_depth, MAX_MACRO_DEPTH, "{} macros nested or chained; at most {}"),
        (
            reading.plus_signs,
            MAX_PLUS_SIGNS_IN_MACROS if reading.macro_depth > 1 else MAX_PLUS_SIGNS,
            "{} plus signs; at most {}",
        ),
    )
    for found, limit, words in limits:
        if found > limit:
            raise BadCondition(f"The condition has {words.format(found, limit)} are accepted.")
    if not text.strip():
        raise BadCondition("The condition is empty.")


def _parse(text: str) -> cel.Program:
    try:
        return cel.compile(text)
    except Exception as error:  # noqa: BLE001 - the CEL library raises what it likes
        place = _POSITION.search(str(error))
    if place is None:
        raise BadCondition("The condition cannot be read as CEL.")
    line, column, what = place.groups()
    raise BadCondition(
        f"Not a CEL expression at line {line}, column {column}: {what[:200]}.",
        line=int(line),
        column=int(column),
        hint=_syntax_hint(text),
    )


def _unknown_function(text: str, name: str) -> BadCondition:
    start = next((word.start for word in tokens(text) if word.text == name), 0)
    known = sorted(NATIVE_FUNCTIONS | set(_OWN_FUNCTIONS) | MACROS)
    close = get_close_matches(name, known, n=1)
    return BadCondition(
        f"CEL has no function {name!r} here.",
        line=text.count("\n", 0, start) + 1,
        column=start - text.rfind("\n", 0, start),
        hint=f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(known)}.",
    )


def _syntax_hint(text: str) -> str | None:
    """What people used to Python write by habit."""
    words = {word.text for word in tokens(text) if word.kind == "name"}
    for python, ours in (("and", "&&"), ("or", "||"), ("not", "!"), ("is", "==")):
        if python in words:
            return f"CEL writes {ours!r} for {python!r}."
    if any(w.text == "=" for w in tokens(text)) and "==" not in text:
        return "CEL writes '==' for equality."
    return None


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"there is no {str(error)[:100]} in it."
    first = str(error).split("\n", maxsplit=1)[0]
    if first.startswith("No such overload"):
        return "an operation met a value of the wrong type, or the result is not true or false."
    if first.startswith("Undefined variable or function"):
        return f"{first.split(chr(39))[1]} is not defined for the value it was given."
    return f"{first.split('. ', maxsplit=1)[0].rstrip('.')[:200]}."


def _hint(seen: Mapping[str, Any]) -> str | None:
    absent = sorted(n.removeprefix(_RESERVED_AS) for n, value in seen.items() if value is None)
    if absent:
        return f"{', '.join(absent[:5])} is null here; guard with `{absent[0]} != null && …`."
    return "Guard optional keys with has(x.y); convert types with int(x), double(x), string(x)."
