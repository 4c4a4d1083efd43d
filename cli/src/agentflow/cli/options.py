"""Options several commands share."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
"""For commands that print a table or text for people."""

JsonAnyway = Annotated[bool, typer.Option("--json", hidden=True, help="this prints JSON anyway")]
"""For commands that only know JSON: scripts may say --json everywhere."""
