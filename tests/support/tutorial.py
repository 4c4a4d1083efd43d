"""Follows a tutorial: saves its files, types its commands, compares what they print.

```` ```json file=NAME ```` is saved, ```` ```sh run ```` is typed line by line (`stack` where a
running stack is needed), ```` ```json expect KEY ```` is held against that key of the final state
of the last command.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tests.support.pages import blocks

COMMAND = [sys.executable, "-m", "agentflow.cli.main"]
TIMEOUT_SECONDS = 60


def follow(
    page: Path, folder: Path, kinds: Collection[str], environ: Mapping[str, str] | None = None
) -> int:
    """Follow the blocks of these kinds; how many results were compared. Raises AssertionError."""
    printed: str | None = None
    compared = 0
    for block in blocks(page):
        word, _, rest = block.kind.partition(" ")
        if word.startswith("file="):
            (folder / word.removeprefix("file=")).write_text(block.text)
        elif block.language == "sh":
            printed = None
            if word in kinds:
                for line in block.text.splitlines():
                    printed = type_in(line, folder, environ or {})
        elif word == "expect" and printed is not None:
            state: dict[str, Any] = json.loads(printed)["final_state"]
            assert state[rest] == json.loads(block.text), f"line {block.line}: {block.text}"
            compared += 1
    return compared


def type_in(line: str, folder: Path, environ: Mapping[str, str]) -> str:
    """What the command prints on stdout; it must end with 0."""
    program, *arguments = shlex.split(line)
    assert program == "agentflow", f"the tutorial runs {program}"
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", **environ},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{line}\nended with {done.returncode}:\n{done.stderr}"
    return done.stdout
