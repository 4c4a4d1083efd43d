"""Whole stacks for end-to-end tests, and a client of theirs that is plain HTTP."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from agentflow.cli.embedded.environment import lent
from agentflow.cli.embedded.options import StackOptions
from agentflow.cli.embedded.stack import Stack, make_stack
from tests.support.examples import Ending

WAIT_SECONDS = 60


@asynccontextmanager
async def running_stack(
    directory: Path, *, split: bool, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Stack]:
    """All servers and all six services; `environ` is what nodes may look up."""
    options = StackOptions(
        directory=directory, split=split, gateway_port=0, nats_port=0, valkey_port=0
    )
    with lent(environ or {}):
        async with make_stack(options) as stack:
            yield stack


async def run_on_stack(
    stack: Stack, workflow: Mapping[str, Any], initial_state: Mapping[str, Any]
) -> Ending:
    """Through REST, the bus and back."""
    headers = {"X-API-Key": stack.addresses.api_key}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=WAIT_SECONDS) as client:
        answer = await client.post(
            f"{stack.addresses.gateway_url}/api/v1/workflows/execute",
            params={"wait": WAIT_SECONDS},
            json={"workflow": workflow, "initial_state": initial_state},
        )
    assert answer.status_code == 200, answer.text
    body = answer.json()
    error = body.get("error")
    return Ending(body["execution_status"], body["final_state"], error["code"] if error else None)
