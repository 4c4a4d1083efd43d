"""Reading JSON from strangers: nothing gets in that a database could not store.

Refused: nesting deeper than the limit, NaN and Infinity, NUL, lone surrogates, numbers of
more than 64-bit range or absurd length, duplicate keys, more keys than the limit.
Each refusal says what and where.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from agentflow.contracts.errors import MalformedJson, PayloadTooLarge


@dataclass(frozen=True)
class JsonLimits:
    """How much JSON is accepted; sizes in bytes."""

    max_bytes: int = 8 * 1024 * 1024
    max_depth: int = 100
    max_keys: int = 200_000


DEFAULT_LIMITS = JsonLimits()
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
"""Possessive, and a string without an end runs to the end: linear on any input."""
_SHOWN = 100
"""Characters of a stranger's key that an error repeats."""
_INT_RANGE = (-(2**63), 2**64 - 1)


def parse_json(data: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> Any:
    """The parsed document; raises MalformedJson or PayloadTooLarge with the place in the text."""
    if len(data) > limits.max_bytes:
        raise PayloadTooLarge(
            f"The body has {len(data):,} bytes; at most {limits.max_bytes:,} are accepted."
        )
    _check_depth(data, limits.max_depth)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The body is not UTF-8 at byte {error.start}.") from None
    pairs = _Pairs(limits.max_keys)
    try:
        value = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_constant=_refuse_constant,
            parse_int=_parse_int,
            parse_float=_parse_float,
        )
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"Not valid JSON at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None
    except RecursionError:
        raise MalformedJson(f"Nested deeper than {limits.max_depth} levels.") from None
    if b"\\u" in data or "\x00" in text:
        check_text(value)
    return value


def check_text(value: Any, pointer: str = "") -> None:
    """Refuse NUL and lone surrogates anywhere in parsed JSON; raises MalformedJson."""
    if isinstance(value, str):
        _check_string(value, pointer)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_string(key, pointer)
            check_text(item, f"{pointer}/{_escape(key)}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            check_text(item, f"{pointer}/{index}")


def clean_text(value: Any) -> Any:
    """The same JSON with NUL and lone surrogates replaced: for output already paid for."""
    if isinstance(value, str):
        if "\x00" in value:
            value = value.replace("\x00", "\ufffd")
        return (
            value
            if value.isascii()
            else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, dict):
        return {clean_text(key): clean_text(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [clean_text(item) for item in value]
    return value


def _escape(key: str) -> str:
    """One reference token of a JSON pointer (RFC 6901), short enough for a message."""
    return key[:_SHOWN].replace("~", "~0").replace("/", "~1")


def _check_string(text: str, pointer: str) -> None:
    where = pointer[: 4 * _SHOWN] or "the document"
    if "\x00" in text:
        raise MalformedJson(f"A NUL character in {where}: no database can store it.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise MalformedJson(f"A lone surrogate in {where}: it is not valid Unicode.") from None


def _check_depth(data: bytes, max_depth: int) -> None:
    if data.count(b"[") + data.count(b"{") <= max_depth:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(data):
        token = match.group()
        if token in (b"[", b"{"):
            depth += 1
            if depth > max_depth:
                raise MalformedJson(
                    f"Nested deeper than {max_depth} levels at byte {match.start()}."
                )
        elif token in (b"]", b"}"):
            depth -= 1


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not a JSON number.")


def _parse_int(text: str) -> int:
    if len(text) <= 20:
        number = int(text)
        if _INT_RANGE[0] <= number <= _INT_RANGE[1]:
            return number
    raise MalformedJson(f"The number {text[:24]}… does not fit into 64 bits; send it as a string.")


def _parse_float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise MalformedJson(f"The number {text[:24]} is out of range.")
    return number


class _Pairs:
    """Builds objects, refuses duplicate keys and too many keys in all."""

    def __init__(self, max_keys: int) -> None:
        self._left = max_keys

    def __call__(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._left -= len(pairs)
        if self._left < 0:
            raise MalformedJson("Too many keys in one document.")
        value = dict(pairs)
        if len(value) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    raise MalformedJson(f"The key {key[:_SHOWN]!r} appears twice in one object.")
                seen.add(key)
        return value
