"""The commands on the examples' pages work when they are pasted into a shell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.examples import EXAMPLES
from tests.support.pages import blocks

COMMANDS = [
    pytest.param(block.text, id=f"line-{block.line}")
    for block in blocks(EXAMPLES / "README.md")
    if block.kind == "run"
]


@pytest.mark.parametrize("commands", COMMANDS)
def test_pasted_commands_end_with_a_result(commands: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(EXAMPLES)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "COMPLETED"
    assert result["final_state"]["final_output"]


def test_there_are_commands_to_paste() -> None:
    assert len(COMMANDS) == 2
