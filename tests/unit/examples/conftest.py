"""Databases are prepared once per run; the runner of each test is closed after it."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from agentflow.node_workers.app import make_runner
from agentflow.node_workers.runner import NodeRunner
from tests.support import examples


@pytest.fixture(scope="session")
def example_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the examples' databases are."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(scope="session")
def example_environ(example_data: Path) -> Mapping[str, str]:
    """What nodes must find in their environment."""
    return examples.prepare(example_data)


@pytest.fixture
async def runner(example_environ: Mapping[str, str]) -> AsyncIterator[NodeRunner]:
    runner = make_runner(environ=example_environ)
    yield runner
    await runner.aclose()
