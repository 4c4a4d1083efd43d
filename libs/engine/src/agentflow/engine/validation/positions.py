"""From a JSON pointer to the line and column in the text, whatever state the text is in.

Reads tokens, once, without recursion, and looks only where a wanted pointer leads. Broken text,
duplicate keys (the last one counts) and wrong brackets give the best known place, never an
error. Lines and columns are 1-based and count characters.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Final

from agentflow.engine.validation.findings import Path

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}

Position = tuple[int, int]
"""(line, column)."""


class _Wanted:
    """A step on the way to wanted pointers."""

    __slots__ = ("below", "path")

    def __init__(self) -> None:
        self.below: dict[str, _Wanted] = {}
        self.path: Path | None = None


class _Frame:
    """An open bracket while reading."""

    __slots__ = ("index", "is_object", "key", "wanted")

    def __init__(self, wanted: _Wanted | None, is_object: bool) -> None:
        self.wanted = wanted
        self.is_object = is_object
        self.index = 0
        self.key: str | None = None


def locate(text: str | bytes, paths: Iterable[Path]) -> dict[Path, Position]:
    """The place of each path, or of the nearest thing around it that is in the text."""
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", "replace")
    wanted = list(paths)
    offsets = _read(text, _trie(wanted))
    lines = [0, *(match.end() for match in re.finditer("\n", text))]
    return {path: _position(offsets, lines, path) for path in wanted}


def _trie(paths: Iterable[Path]) -> _Wanted:
    root = _Wanted()
    for path in paths:
        step = root
        for number in range(len(path) + 1):
            step.path = path[:number]
            if number < len(path):
                step = step.below.setdefault(str(path[number]), _Wanted())
    return root


def _read(text: str, root: _Wanted) -> dict[Path, int]:
    found: dict[Path, int] = {}
    stack: list[_Frame] = []
    for match in _TOKEN.finditer(text):
        word, start = match.group(), match.start()
        frame = stack[-1] if stack else None
        if word in "]}":
            if stack:
                stack.pop()
        elif word == ",":
            _next(frame)
        elif word == ":":
            continue
        elif frame is not None and frame.is_object and frame.key is None and word[0] == '"':
            frame.key = _unquoted(word) if frame.wanted else ""
        else:
            here = _here(frame, root)
            if here is not None and here.path is not None:
                found[here.path] = start
            if word in "[{":
                stack.append(_Frame(here, word == "{"))
    return found


def _next(frame: _Frame | None) -> None:
    if frame is not None:
        frame.index += 1
        frame.key = None


def _here(frame: _Frame | None, root: _Wanted) -> _Wanted | None:
    """What is wanted of the value that begins now."""
    if frame is None:
        return root
    if frame.wanted is None:
        return None
    return frame.wanted.below.get((frame.key or "") if frame.is_object else str(frame.index))


def _unquoted(token: str) -> str:
    inner = token[1:-1] if token.endswith('"') and len(token) > 1 else token[1:]
    if "\\" not in inner:
        return inner
    # two escaped halves of one character are that character
    pairs = _ESCAPE.sub(_unescaped, inner).encode("utf-16", "surrogatepass")
    return pairs.decode("utf-16", "surrogatepass")


def _unescaped(match: "re.Match[str]") -> str:
    code: Any = match.group(1)
    return chr(int(code, 16)) if code else _LETTERS.get(match.group(2), match.group(2))


def _position(offsets: dict[Path, int], lines: list[int], path: Path) -> Position:
    while path and path not in offsets:
        path = path[:-1]
    offset = offsets.get(path, 0)
    line = bisect_right(lines, offset)
    return line, offset - lines[line - 1] + 1
