"""`agentflow demo` runs everything on real input and leaves nothing behind."""

import json
import tempfile
from pathlib import Path

import pytest

from tests.support.cli import agentflow

pytestmark = pytest.mark.e2e


def test_the_demo_completes_every_execution_and_exits_0(tmp_path: Path) -> None:
    done = agentflow("demo", "--json", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    triage = figures["jobs"]["triage"]
    assert triage["executions"] == triage["completed"] == 300
    licences = figures["jobs"]["licences"]
    assert licences["executions"] == licences["completed"] >= 50
    assert len(figures["patterns"]) >= 6
    assert all(figures["patterns"].values())
    assert list(tmp_path.iterdir()) == []


def test_people_see_tables_without_colours_in_a_pipe(tmp_path: Path) -> None:
    done = agentflow("demo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ("300 of 300 completed", "executions per second", "One of each pattern"):
        assert text in done.stdout
    assert "DIFFERS" not in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "nothing is left running" in done.stderr


def test_an_example_that_comes_out_wrong_makes_it_exit_1(tmp_path: Path) -> None:
    spec = {
        "name": "wrong",
        "start_node": "ask",
        "nodes": [{"id": "ask", "type": "input", "metadata": {"validation": {"required": True}}}],
    }
    folder = tmp_path / "wrong"
    (folder / "cases").mkdir(parents=True)
    (folder / "workflow.json").write_text(json.dumps(spec))
    case = {"initial_state": {"user_input": "x"}, "expect": {"status": "FAILED"}}
    (folder / "cases" / "one.json").write_text(json.dumps(case))
    manifest = {"examples": [{"name": "wrong", "pattern": "wrong on purpose"}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    done = agentflow("demo", "--examples", str(tmp_path), cwd=Path(tempfile.gettempdir()))
    assert done.returncode == 1
    assert "DIFFERS" in done.stdout
    assert "status is 'COMPLETED', expected 'FAILED'" in done.stderr
