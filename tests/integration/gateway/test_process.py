"""The gateway as a process: it starts, says why it does not, and stops in order."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.gateway_stage import GatewayStage, gateway_stage, hello
from tests.support.servers import free_port
from tests.support.waiting import eventually

MAIN = "from agentflow.gateway.app import main; main()"


async def started(on: GatewayStage, port: int, **more: str) -> asyncio.subprocess.Process:
    """A gateway of its own beside the stage's, on the same bus and tables."""
    environment = {
        **os.environ,
        "AGENTFLOW_NATS_URL": on.bus_settings.nats_url,
        "AGENTFLOW_BUS_PREFIX": on.bus_settings.prefix,
        "AGENTFLOW_DATABASE_URL": on.storage.database_url,
        "AGENTFLOW_GATEWAY_PORT": str(port),
        "AGENTFLOW_GATEWAY_START_PATIENCE": "0.1",
        **more,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", MAIN, env=environment, stderr=asyncio.subprocess.PIPE
    )


async def is_ready(client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> bool:
    if process.returncode is not None:
        told = await process.stderr.read() if process.stderr else b""
        pytest.fail(f"exit {process.returncode}: {told.decode()[-2000:]}")
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def test_sigterm_ends_streams_and_waits_and_exits_0(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        port = free_port()
        process = await started(on, port)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers=on.as_role("developer"),
            timeout=60,
            trust_env=False,
        ) as client:
            await eventually(lambda: is_ready(client, process), timeout=30)
            body = {"workflow": hello("hang"), "wait": 300}
            waiting = asyncio.create_task(client.post("/workflows/execute", json=body))
            await eventually(lambda: on.fleet.executed)
            execution_id = on.fleet.executed[0].execution_id
            path = f"/executions/{execution_id}/events"
            async with client.stream("GET", path) as stream:
                lines = stream.aiter_lines()
                await anext(lines)
                process.send_signal(signal.SIGTERM)
                rest = [line async for line in lines]  # ends, though the execution has not
                assert not any("execution.completed" in line for line in rest)
            assert (await waiting).status_code == 202
        async with asyncio.timeout(30):
            _, told = await process.communicate()
        assert process.returncode == 0, told.decode()[-2000:]


async def test_what_keeps_it_from_starting_is_one_clear_line_and_exit_1(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        cases = {
            "agentflow bus apply": {"AGENTFLOW_BUS_PREFIX": "elsewhere"},
            "agentflow db upgrade": {"AGENTFLOW_DATABASE_URL": f"sqlite:///{tmp_path}/no.db"},
            "AGENTFLOW_GATEWAY_PORT": {"AGENTFLOW_GATEWAY_PORT": "70000"},
        }
        for hint, environment in cases.items():
            process = await started(on, free_port(), **environment)
            async with asyncio.timeout(30):
                _, told = await process.communicate()
            last = told.decode().strip().splitlines()[-1]
            assert process.returncode == 1, told.decode()[-2000:]
            if hint.startswith("agentflow"):
                assert last.startswith("agentflow gateway: cannot start: ")
                assert hint in last
            else:
                assert "cannot start" in told.decode()
                assert "port" in told.decode()
