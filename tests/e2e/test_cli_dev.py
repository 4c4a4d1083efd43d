"""The life of `agentflow dev`: it starts, is alone, is told about, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from agentflow.cli.embedded.services import SERVICES
from tests.support.cli import ANY_PORTS, COMMAND, Dev, agentflow, environment, running_dev

pytestmark = pytest.mark.e2e

PATIENCE_SECONDS = 20.0
SPEC = {
    "name": "hello",
    "start_node": "ask",
    "nodes": [
        {"id": "ask", "type": "input"},
        {
            "id": "greet",
            "type": "aggregator",
            "metadata": {"strategy": "template", "template": "Hello {user_input}!"},
        },
    ],
    "edges": [{"from": "ask", "to": "greet"}],
}


def all_pids(dev: Dev) -> set[int]:
    return {dev.process.pid, *(pid for pids in dev.file["pids"].values() for pid in pids)}


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie is dead."""
    found = set()
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
        except psutil.NoSuchProcess:
            continue
    return found


def write_spec(directory: Path) -> None:
    (directory / "hello.json").write_text(json.dumps(SPEC))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_with_exit_0_and_nothing_left_running(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running_dev(tmp_path) as dev:
        pids = all_pids(dev)
        assert len(alive(pids)) >= 3
        assert dev.stop(number) == 0, dev.said
    assert alive(pids) == set()
    assert list((tmp_path / ".agentflow" / "run").iterdir()) == []
    assert not (tmp_path / ".agentflow" / "dev.json").exists()
    assert "Stopped." in dev.said


def test_a_signal_half_way_up_leaves_nothing_either(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "dev", *ANY_PORTS],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    pid_file = tmp_path / ".agentflow" / "run" / "nats-server.pid"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not pid_file.exists() or not pid_file.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    server = int(pid_file.read_text())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert alive({server}) == set()


def test_data_and_key_outlive_a_restart(tmp_path: Path) -> None:
    write_spec(tmp_path)
    with running_dev(tmp_path) as dev:
        key = dev.file["api_key"]
        done = dev.run("run", "hello.json", "-i", "user_input=world")
        execution_id = json.loads(done.stdout)["execution_id"]
    with running_dev(tmp_path) as dev:
        assert dev.file["api_key"] == key
        shown = json.loads(dev.run("executions", "show", execution_id).stdout)
        assert shown["status"] == "COMPLETED"


def test_a_second_stack_in_the_same_directory_is_refused_with_a_clear_line(tmp_path: Path) -> None:
    with running_dev(tmp_path) as dev:
        second = agentflow("dev", cwd=tmp_path)
        assert second.returncode == 1
        assert f"already running in {tmp_path}" in second.stderr
        assert str(dev.process.pid) in second.stderr
        assert "Traceback" not in second.stderr
        assert dev.run("executions", "ls").returncode == 0


def test_what_a_killed_stack_left_running_is_ended_by_the_next(tmp_path: Path) -> None:
    with running_dev(tmp_path, "--split") as dev:
        children = all_pids(dev) - {dev.process.pid}
        dev.process.kill()
        dev.process.wait()
        assert alive(children) == children
        assert dev.run("executions", "ls").returncode == 3
        assert "left running by a killed stack" in dev.run("doctor").stdout
    with running_dev(tmp_path) as dev:
        assert "Ended what a killed stack had left running" in dev.said
        assert alive(children) == set()


def test_split_gives_each_service_its_process_and_its_pid_file(tmp_path: Path) -> None:
    write_spec(tmp_path)
    with running_dev(tmp_path, "--split", "--workers", "2", "--executors", "2") as dev:
        pids = dev.file["pids"]
        assert {service: len(pids[service]) for service in SERVICES} == {
            **dict.fromkeys(SERVICES, 1),
            "node-workers": 2,
            "executor": 2,
        }
        run = tmp_path / ".agentflow" / "run"
        assert int((run / "executor.pid").read_text()) == pids["executor"][0]
        assert int((run / "executor-2.pid").read_text()) == pids["executor"][1]
        everyone = all_pids(dev)
        assert len(everyone) == 1 + sum(len(found) for found in pids.values())
        done = dev.run("run", "hello.json", "-i", "user_input=world")
        assert json.loads(done.stdout)["final_state"]["final_output"]["result"] == "Hello world!"
        assert dev.stop() == 0, dev.said
    assert alive(everyone) == set()


def test_a_dead_service_is_reported_loudly_and_the_rest_goes_on(tmp_path: Path) -> None:
    with running_dev(tmp_path, "--split") as dev:
        os.kill(dev.file["pids"]["audit"][0], signal.SIGKILL)
        dev.wait_until_it_says("!! audit")
        assert "was ended by signal 9" in dev.said
        assert dev.run("executions", "ls").returncode == 0
        assert dev.stop() == 0


def test_a_service_that_cannot_start_stops_the_whole_with_its_reason(tmp_path: Path) -> None:
    env = {"AGENTFLOW_EXECUTOR_SLOTS": "none"}
    done = agentflow("dev", "--split", *ANY_PORTS, cwd=tmp_path, env=env)
    assert done.returncode == 1
    assert "executor ended with code 1" in done.stderr
    assert "slots" in done.stderr
    assert list((tmp_path / ".agentflow" / "run").iterdir()) == []


def test_a_database_that_does_not_answer_is_said_at_once(tmp_path: Path) -> None:
    url = "postgresql://nobody:secret@127.0.0.1:1/nothing"
    done = agentflow("dev", *ANY_PORTS, "--database-url", url, cwd=tmp_path)
    assert done.returncode == 1
    assert "database" in done.stderr.lower()
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_json_prints_dev_json_on_stdout_and_people_read_stderr(tmp_path: Path) -> None:
    with running_dev(tmp_path, "--json") as dev:
        assert dev.process.stdout is not None
        assert json.loads(dev.process.stdout.readline()) == dev.file
        for word in ("gateway", "NATS", "API key", "agentflow run"):
            assert word in dev.said
        assert "\x1b" not in dev.said


def test_a_bad_durability_is_refused(tmp_path: Path) -> None:
    done = agentflow("dev", "--durability", "always", cwd=tmp_path)
    assert done.returncode == 2
    assert "default or fsync" in done.stderr
