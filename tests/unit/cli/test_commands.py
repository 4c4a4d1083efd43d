"""The command line as a whole: JSON everywhere, quick help, clear errors with their exit codes."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from agentflow.cli.main import build_app
from tests.support.cli import agentflow

TEXT_ONLY = {"serve", "graph"}
"""A service has no result, a drawing is its own format."""


def commands(group: TyperGroup, before: str = "") -> dict[str, list[str]]:
    """Full name → its option strings."""
    found: dict[str, list[str]] = {}
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            found |= commands(command, f"{before}{name} ")
        else:
            found[f"{before}{name}"] = [flag for p in command.params for flag in p.opts]
    return found


def test_every_command_takes_json() -> None:
    found = commands(typer.main.get_group(build_app()))
    assert {name for name, flags in found.items() if "--json" not in flags} == TEXT_ONLY


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from agentflow.cli.main import build_app; build_app();"
        "print(*[m for m in ('pydantic', 'nats', 'sqlalchemy', 'fastapi', 'langgraph', 'httpx')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["run", "nowhere.json"], 2, "No such file"),
        (["executions", "ls"], 3, "No running stack found here"),
        (["bus", "status", "--nats-url", "nats://127.0.0.1:1"], 3, "No NATS server answers"),
        (["serve", "kitchen"], 2, "There is no service 'kitchen'"),
        (["serve", "history", "--slots", "3"], 2, "takes neither --types nor --slots"),
        (["db", "status", "--database-url", "oracle://x"], 2, "not supported"),
        (["nonsense"], 2, "No such command"),
    ],
)
def test_what_goes_wrong_is_said_in_a_line_with_its_exit_code(
    tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    done = agentflow(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_gateway_that_is_not_there_exits_3(tmp_path: Path) -> None:
    env = {"AGENTFLOW_URL": "http://127.0.0.1:1"}
    done = agentflow("executions", "ls", cwd=tmp_path, env=env)
    assert done.returncode == 3
    assert "http://127.0.0.1:1 does not answer" in done.stderr


def test_the_schema_goes_up_and_down_and_its_state_is_told(tmp_path: Path) -> None:
    url = ["--database-url", f"sqlite:///{tmp_path}/a.db"]
    before = agentflow("db", "status", *url, cwd=tmp_path)
    assert before.returncode == 1
    assert "agentflow db upgrade" in before.stderr
    assert agentflow("db", "upgrade", *url, cwd=tmp_path).returncode == 0
    assert agentflow("db", "status", *url, cwd=tmp_path).returncode == 0
    down = agentflow("db", "downgrade", "base", *url, cwd=tmp_path)
    assert down.stdout.strip() == '{"revision": "base"}'


def test_colours_appear_only_where_they_are_wanted(tmp_path: Path) -> None:
    for env in ({"NO_COLOR": "1", "FORCE_COLOR": ""}, {}):
        done = agentflow("run", "nowhere.json", cwd=tmp_path, env=env)
        assert "\x1b" not in done.stderr
    forced = agentflow("run", "nowhere.json", cwd=tmp_path, env={"FORCE_COLOR": "1"})
    assert "\x1b[" in forced.stderr


def test_a_bug_is_not_dressed_up_as_an_error_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    from agentflow.cli import main as module

    def broken() -> typer.Typer:
        raise ZeroDivisionError

    monkeypatch.setattr(module, "build_app", broken)
    with pytest.raises(ZeroDivisionError):
        module.main()
