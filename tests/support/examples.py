"""The examples as the tests see them: manifest, workflows, cases, prepared databases.

A case holds an initial state and what must come out of it. `misses` says how an execution
differs from that, in words, however it was run.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Ending:
    """How an execution ended, whoever ran it."""

    status: str
    final_state: dict[str, Any]
    error: str | None = None


@dataclass(frozen=True)
class Case:
    """One initial state of one example. `expect` names only what is exact."""

    example: str
    name: str
    initial_state: dict[str, Any]
    expect: dict[str, Any]

    @property
    def workflow(self) -> dict[str, Any]:
        return workflow(self.example)


def manifest() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / "manifest.json").read_text())
    return found


def names() -> list[str]:
    return [example["name"] for example in manifest()["examples"]]


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / name / "workflow.json").read_text())
    return found


def cases(name: str | None = None) -> Iterator[Case]:
    """Every case of one example, or of all."""
    for example in [name] if name else names():
        for path in sorted((EXAMPLES / example / "cases").glob("*.json")):
            content = json.loads(path.read_text())
            yield Case(example, path.stem, content["initial_state"], content["expect"])


def jobs() -> dict[str, dict[str, Any]]:
    """The demo jobs by name."""
    return {job["name"]: job for job in manifest()["demo"]}


def inputs(job: dict[str, Any], data: Path) -> list[dict[str, Any]]:
    """What a demo job is run on: one object with `initial_state` per execution."""
    path = EXAMPLES / job["inputs"].replace("{data}", str(data))
    return [json.loads(line) for line in path.read_text().splitlines()]


def prepare(data: Path) -> dict[str, str]:
    """Build the databases below `data`; the environment that nodes need to find them."""
    environ: dict[str, str] = {}
    for step in manifest()["prepare"]:
        script, *arguments = (part.replace("{data}", str(data)) for part in step["run"])
        subprocess.run([sys.executable, EXAMPLES / script, *arguments], check=True, timeout=60)
        environ |= {name: value.replace("{data}", str(data)) for name, value in step["env"].items()}
    environ["AGENTFLOW_SECRETS_DEFAULT"] = ",".join(environ)
    return environ


def misses(expect: dict[str, Any], ending: Ending) -> list[str]:
    """How `ending` differs from what was expected; empty when it does not."""
    state = ending.final_state
    found: dict[str, Any] = {
        "status": ending.status,
        "error": ending.error,
        "execution_path": state.get("execution_path"),
        "final_output": state.get("final_output"),
        "final_state": {key: state.get(key) for key in expect.get("final_state", {})},
    }
    unknown = sorted(set(expect) - set(found))
    assert not unknown, f"a case expects {unknown}, which nobody compares"
    return [
        f"{key}: expected {wanted!r}, got {found[key]!r}"
        for key, wanted in expect.items()
        if found[key] != wanted
    ]
