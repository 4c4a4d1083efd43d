"""Where things are printed: progress and tables for people on stderr, results on stdout.

A result on stdout is one JSON document, so that every command can be piped. NO_COLOR, a pipe
and TERM=dumb switch colours off; nothing is printed that a screen of 80 columns would break.
"""

import json
import os
import sys
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 120
"""Columns assumed where nobody looks: a pipe has no width."""


class Output:
    """The two streams of one command."""

    def __init__(self, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        self._stdout = stdout or sys.stdout
        err = stderr or sys.stderr
        self.console = Console(file=err, highlight=False, width=_width(err))
        """For people: stderr."""
        self.paper = Console(file=self._stdout, highlight=False, width=_width(self._stdout))
        """For results that are tables: stdout."""

    def say(self, text: str = "", style: str | None = None) -> None:
        """One line of progress; markup in `text` is not interpreted."""
        self.console.print(text, style=style, markup=False, soft_wrap=True)

    def result(self, value: Any) -> None:
        """The result as JSON: indented for a screen, one line for a pipe."""
        indent = 2 if self._stdout.isatty() else None
        text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
        self._stdout.write(text + "\n")
        self._stdout.flush()

    def table(self, table: Table) -> None:
        """A result for people."""
        self.paper.print(table)


def _width(stream: TextIO) -> int | None:
    if "COLUMNS" in os.environ or stream.isatty():
        return None
    return PIPE_WIDTH
