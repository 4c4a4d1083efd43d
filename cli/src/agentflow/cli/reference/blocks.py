"""Generated blocks inside pages people write.

    <!-- generated: picture -->
    …
    <!-- /generated -->

What stands between the marks is replaced by `make reference`; `--check` compares it.
"""

import re
from collections.abc import Callable, Mapping

BLOCK = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)
PAGES = ("README.md", "docs/architecture.md")


class UnknownBlock(Exception):
    """A page asks for a block nobody makes."""


def fill(text: str, makers: Mapping[str, Callable[[], str]]) -> str:
    """The page with every block made anew; raises UnknownBlock."""

    def made(match: re.Match[str]) -> str:
        name = match.group("name")
        if name not in makers:
            raise UnknownBlock(f"nobody makes the block {name!r}")
        return f"{match.group(1)}{makers[name]()}\n{match.group(3)}"

    return BLOCK.sub(made, text)
