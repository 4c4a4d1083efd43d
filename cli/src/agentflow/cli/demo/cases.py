"""The cases of an example: an initial state and what must come of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentflow.cli.inputs import read_spec


@dataclass(frozen=True)
class Case:
    """One `cases/*.json`. `expect` holds only what matters: see `differences`."""

    name: str
    initial_state: dict[str, Any]
    expect: dict[str, Any]


def read_cases(folder: Path) -> list[Case]:
    """The cases in a folder, in order of name."""
    found = []
    for path in sorted(folder.glob("*.json")):
        document = read_spec(str(path)).document
        found.append(Case(path.stem, document["initial_state"], document["expect"]))
    return found


def differences(
    expect: dict[str, Any],
    *,
    status: str,
    final_state: dict[str, Any],
    error_code: str | None,
) -> Iterator[str]:
    """What is not as expected: status, path, final output, single state keys, error code."""
    found: dict[str, Any] = {
        "status": status,
        "error": error_code,
        "execution_path": final_state.get("execution_path"),
        "final_output": final_state.get("final_output"),
    }
    for key, value in found.items():
        if key in expect and expect[key] != value:
            yield f"{key} is {value!r}, expected {expect[key]!r}"
    for key, value in expect.get("final_state", {}).items():
        if final_state.get(key) != value:
            yield f"final_state.{key} is {final_state.get(key)!r}, expected {value!r}"
