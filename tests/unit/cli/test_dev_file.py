"""How commands find the running stack."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentflow.cli.dev_file import DevFile, find_dev_file, find_target
from agentflow.cli.embedded.environment import lent, missing_from
from agentflow.cli.embedded.lock import DirectoryLock
from agentflow.cli.embedded.services import SERVICES, instances
from agentflow.cli.errors import Unreachable


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGENTFLOW_URL", "AGENTFLOW_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[DirectoryLock]:
    """What a running stack holds."""
    (tmp_path / ".agentflow").mkdir()
    lock = DirectoryLock(tmp_path / ".agentflow" / "dev.lock")
    lock.acquire()
    yield lock
    lock.release()


def write(directory: Path) -> DevFile:
    dev = DevFile(
        gateway_url="http://127.0.0.1:8000",
        nats_url="nats://127.0.0.1:4222",
        database_url="sqlite:///x",
        api_key="af_key",
        mode="split",
        pid=os.getpid(),
        pids={},
    )
    dev.write(directory / ".agentflow" / "dev.json")
    return dev


def test_the_stack_of_a_directory_above_is_found(tmp_path: Path, lock: DirectoryLock) -> None:
    dev = write(tmp_path)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    assert find_dev_file(below) == dev
    assert find_target(below).api_key == "af_key"


def test_a_file_of_a_stack_that_is_gone_does_not_count(tmp_path: Path, lock: DirectoryLock) -> None:
    write(tmp_path)
    assert find_dev_file(tmp_path) is not None
    lock.release()
    with pytest.raises(Unreachable, match="No running stack") as unreachable:
        find_target(tmp_path)
    assert "agentflow dev" in (unreachable.value.hint or "")


def test_a_broken_file_does_not_count(tmp_path: Path, lock: DirectoryLock) -> None:
    write(tmp_path)
    (tmp_path / ".agentflow" / "dev.json").write_text("{")
    assert find_dev_file(tmp_path) is None


def test_the_environment_wins_and_never_gets_another_stacks_key(
    tmp_path: Path, lock: DirectoryLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.setenv("AGENTFLOW_URL", "https://prod.example/")
    target = find_target(tmp_path)
    assert (target.url, target.api_key) == ("https://prod.example", None)
    monkeypatch.setenv("AGENTFLOW_API_KEY", "theirs")
    assert find_target(tmp_path).api_key == "theirs"


def test_lent_variables_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTFLOW_A", "before")
    monkeypatch.delenv("AGENTFLOW_B", raising=False)

    def fail_while_lent() -> None:
        with lent({"AGENTFLOW_A": "during", "AGENTFLOW_B": "during"}):
            assert (os.environ["AGENTFLOW_A"], os.environ["AGENTFLOW_B"]) == ("during", "during")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_while_lent()
    assert os.environ["AGENTFLOW_A"] == "before"
    assert "AGENTFLOW_B" not in os.environ
    assert missing_from({"AGENTFLOW_A": "x", "AGENTFLOW_B": "y"}) == {"AGENTFLOW_B": "y"}


def test_listeners_start_first_and_the_gateway_last() -> None:
    names = [name for name, _ in instances(executors=2, workers=1)]
    assert names == [
        *("history", "audit", "validator", "node-workers"),
        *("executor", "executor-2", "gateway"),
    ]
    assert set(SERVICES) == {service for _, service in instances(1, 1)}
