"""Runners as tests need them: loopback open, the test's own secrets, none of the operator's."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentflow.node_workers.app import make_runner
from agentflow.node_workers.runner import NodeRunner
from agentflow.node_workers.settings import WorkersSettings
from tests.support.providers.openai_server import OpenAIServer

CANARY = "sk-canary-f00dfeedbeef5eed"


@pytest.fixture
def environ() -> dict[str, str]:
    """What the worker's environment holds; a test may add to it before it asks for `runner`."""
    return {"MODEL_KEY": CANARY, "AGENTFLOW_SECRETS_DEFAULT": "MODEL_KEY,API_KEY,OPENAI_API_KEY"}


@pytest.fixture
async def runner(
    environ: dict[str, str], tmp_path: Path, clean_environ: None
) -> AsyncIterator[NodeRunner]:
    """Every node type, with loopback open and SQLite files below the test's directory."""
    settings = WorkersSettings(egress_allow=("loopback",), sqlite_directories=(str(tmp_path),))
    made = make_runner(settings, environ)
    yield made
    await made.aclose()


@pytest.fixture
async def model() -> AsyncIterator[OpenAIServer]:
    """An OpenAI server that accepts the canary key only."""
    async with OpenAIServer(key=CANARY) as server:
        yield server
