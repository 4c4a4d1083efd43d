"""Where a member's value stands in JSON text, so that lines and columns can be told.

The text has been parsed already: it is valid, its top level is an object and no key
appears twice.
"""

import json
import re
from dataclasses import dataclass

_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Place:
    """A value's own text, and where it begins: both counted from 1."""

    text: str
    line: int
    column: int


def place_of(text: str, key: str) -> Place | None:
    """The place of the top-level member `key`; None when there is none."""
    decoder = json.JSONDecoder()
    position = _after_space(text, 0) + 1
    while True:
        position = _after_space(text, position)
        if position >= len(text) or text[position] == "}":
            return None
        if text[position] == ",":
            position += 1
            continue
        name, position = decoder.raw_decode(text, position)
        start = _after_space(text, _after_space(text, position) + 1)
        _, position = decoder.raw_decode(text, start)
        if name == key:
            before = text[:start]
            return Place(text[start:position], before.count("\n") + 1, start - before.rfind("\n"))


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
