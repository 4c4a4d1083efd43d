"""Code blocks of a Markdown page: what a reader could copy, for a test to run.

The word after the language says what a block is: ```` ```json node ````. Blocks without one are
pictures and are not returned.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```(\w+) (\S+(?: \S+)*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One block; `kind` is what stands after the language, `line` where it starts."""

    language: str
    kind: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        yield Block(match[1], match[2], match[3], line)


def rows(page: Path) -> list[tuple[str, str]]:
    """Rows of two code cells, e.g. an input and what comes out."""
    return _ROW.findall(page.read_text())
