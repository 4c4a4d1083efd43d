"""The import contracts catch what they are for: each is broken on purpose in a small house.

The rooms of the small house are empty but for one forbidden import; the contracts are ours.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = (
    *("contracts", "telemetry", "engine", "bus", "storage", "cli"),
    *("gateway", "validator", "executor", "node_workers", "history", "audit"),
)
LINT = """
import sys
sys.path[:] = [sys.argv.pop(1)] + [p for p in sys.path if not p.rstrip("/").endswith("src")]
from importlinter import cli
sys.exit(cli.lint_imports(config_filename=sys.argv.pop(1), no_cache=True))
"""


def lint(house: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, str(house), str(ROOT / "pyproject.toml")],
        cwd=house,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for room in ROOMS:
        (tmp_path / "agentflow" / room).mkdir(parents=True)
        (tmp_path / "agentflow" / room / "__init__.py").write_text("")
    (tmp_path / "agentflow" / "engine" / "graph.py").write_text("import langgraph\n")
    return tmp_path


def write(house: Path, module: str, line: str) -> None:
    path = house.joinpath(*module.split(".")).with_suffix(".py")
    path.write_text(f"{line}\n")


BROKEN = [
    ("agentflow.contracts.a", "import orjson", "contracts know pydantic"),
    ("agentflow.contracts.a", "import agentflow.bus", "Rooms only import"),
    ("agentflow.engine.a", "import asyncio", "the engine has no clock"),
    ("agentflow.engine.a", "import random", "the engine has no clock"),
    ("agentflow.engine.a", "import sqlalchemy", "the engine has no clock"),
    ("agentflow.engine.a", "import agentflow.bus", "Rooms only import"),
    ("agentflow.bus.a", "import sqlalchemy", "bus and engine know no database"),
    ("agentflow.storage.a", "import nats", "storage does not know the bus"),
    ("agentflow.storage.a", "import agentflow.bus", "Rooms only import"),
    ("agentflow.telemetry.a", "import agentflow.contracts", "telemetry imports no room"),
    ("agentflow.gateway.a", "import agentflow.executor", "Rooms only import"),
    ("agentflow.gateway.a", "import agentflow.engine.graph", "does not pay for LangGraph"),
    ("agentflow.executor.a", "import agentflow.engine.graph", "does not pay for LangGraph"),
    ("agentflow.validator.a", "import langgraph", "LangGraph is imported in"),
    ("agentflow.bus.a", "import agentflow.cli", "Rooms only import"),
]


def test_a_house_without_forbidden_imports_is_accepted(house: Path) -> None:
    done = lint(house)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("module", "line", "contract"), BROKEN)
def test_a_forbidden_import_breaks_its_contract(
    house: Path, module: str, line: str, contract: str
) -> None:
    write(house, module, line)
    done = lint(house)
    assert done.returncode == 1, done.stdout + done.stderr
    broken = done.stdout.partition("Broken contracts")[2]
    assert contract in " ".join(broken.split())


def test_a_new_room_without_a_place_in_the_layers_is_refused(house: Path) -> None:
    (house / "agentflow" / "attic").mkdir()
    (house / "agentflow" / "attic" / "__init__.py").write_text("")
    done = lint(house)
    assert done.returncode == 1
    assert "attic" in done.stdout
