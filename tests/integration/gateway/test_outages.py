"""What the gateway says while something is away, and that it recovers by itself."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from agentflow.gateway.app import create_app
from agentflow.gateway.server import GatewayDidNotStart, GatewayServer
from tests.support.gateway_stage import GatewayStage, gateway_stage, hello
from tests.support.nats_server import NatsServer
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

EXECUTE = "/api/v1/workflows/execute"
KEY = {"Idempotency-Key": "k"}


async def test_without_the_bus_commands_are_503_and_come_back_with_it(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with gateway_stage(nats_server.url, tmp_path) as on:
        assert (await on.execute()).status_code == 200
        nats_server.kill()
        await eventually(lambda: not on.gateway.bus.connected)
        for method, path in (
            ("POST", EXECUTE),
            ("POST", EXECUTE + "/async"),
            ("POST", "/workflows/validate"),
            ("POST", "/executions/exec_1/cancel"),
            ("GET", "/executions/exec_1/events"),
        ):
            body = {"workflow": hello()} if "workflows" in path else None
            answer = await on.client.request(method, path, json=body, headers=KEY)
            assert (answer.status_code, answer.json()["code"]) == (503, "bus_down"), path
            assert answer.headers["retry-after"]
        assert (await on.client.get("/health/live")).status_code == 200
        not_ready = await on.client.get("/health/ready")
        assert not_ready.status_code == 503
        assert not_ready.json()["checks"]["bus"]["status"] == "failed"
        assert not_ready.json()["checks"]["database"]["status"] == "ok"
        assert (await on.client.get("/executions")).status_code == 200  # SQL answers
        nats_server.start()

        async def back() -> bool:
            return (await on.execute()).status_code == 200

        await eventually(back, timeout=30)
        assert (await on.client.get("/health/ready")).status_code == 200


async def test_a_bus_that_is_silent_is_503_within_the_patience(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with (
        Proxy("127.0.0.1", nats_server.port) as proxy,
        gateway_stage(
            nats_server.url,
            tmp_path,
            gateway_nats_url=f"nats://127.0.0.1:{proxy.port}",
            bus_timeout_seconds=0.5,
            validator_timeout_seconds=0.5,
        ) as on,
    ):
        assert (await on.execute()).status_code == 200
        proxy.stall()
        answer = await on.client.post(EXECUTE, json={"workflow": hello()})
        assert (answer.status_code, answer.json()["code"]) == (503, "outcome_unknown")
        assert answer.json()["execution_id"].startswith("exec_")
        keyed = await on.client.post(EXECUTE, json={"workflow": hello()}, headers=KEY)
        assert (keyed.status_code, keyed.json()["code"]) == (503, "bus_down")
        assert (await on.client.post("/executions/exec_1/cancel")).status_code == 503
        proxy.flow()

        async def back() -> bool:
            return (await on.execute()).status_code == 200

        await eventually(back, timeout=30)


async def test_a_waiting_caller_gets_its_answer_over_a_restart_of_the_bus(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with gateway_stage(nats_server.url, tmp_path, log_check_seconds=0.5) as on:
        waiting = asyncio.create_task(on.execute(hello("hang"), wait=60))
        await eventually(lambda: on.gateway.feed.waiting_for == 1 and on.fleet.executed)
        execution_id = on.fleet.executed[0].execution_id
        await eventually(lambda: _is_running(on, str(execution_id)))
        nats_server.kill()
        nats_server.start()
        await eventually(lambda: on.fleet.bus.connected and on.gateway.bus.connected)

        async def cancelled() -> bool:
            return (await on.client.delete(f"/jobs/{execution_id}")).status_code == 200

        await eventually(cancelled, timeout=30)
        assert (await waiting).json()["execution_status"] == "CANCELLED"


async def test_a_full_stream_is_503_with_retry_after_and_takes_work_again(
    nats_url: str, tmp_path: Path
) -> None:
    small = {"commands_max_mib": 1}
    async with gateway_stage(nats_url, tmp_path, bus_values=small) as on:
        await on.execute()
        consumers = on.fleet_app.consumers
        for consumer in consumers:
            await consumer.drain(0.1)
        body = {"workflow": hello(), "initial_state": {"x": "y" * 60_000}}
        for _ in range(30):
            answer = await on.client.post(EXECUTE + "/async", json=body)
            if answer.status_code != 202:
                break
        assert (answer.status_code, answer.json()["code"]) == (503, "stream_full")
        assert int(answer.headers["retry-after"]) >= 1
        keyed = await on.client.post(EXECUTE + "/async", json=body, headers=KEY)
        assert keyed.json()["code"] == "stream_full"
        await on.nc.jetstream().purge_stream(f"{on.bus_settings.prefix}_COMMANDS")
        again = await on.client.post(EXECUTE + "/async", json=body, headers=KEY)
        assert again.status_code == 202  # the refused request did not use its key up


async def test_a_command_larger_than_the_bus_takes_is_413(
    tmp_path: Path,
) -> None:
    with NatsServer(tmp_path / "nats", max_payload=256 * 1024) as small:
        async with gateway_stage(small.url, tmp_path) as on:
            spec = {**hello(), "metadata": {"x": "y" * 300_000}}
            answer = await on.execute(spec)
            assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
            assert (await on.execute()).status_code == 200


async def test_it_refuses_to_start_on_a_bus_that_is_not_set_up(
    nats_url: str, tmp_path: Path
) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        await on.nc.jetstream().delete_stream(f"{on.bus_settings.prefix}_EVENTS")
        app = create_app(on.gateway.settings, on.bus_settings, on.storage)
        server = GatewayServer(app, on.gateway.settings)
        with pytest.raises(GatewayDidNotStart):
            await server.start()
        assert not server.started
        assert "agentflow bus apply" in app.state.trouble.hint


async def test_it_refuses_to_start_without_tables(nats_url: str, tmp_path: Path) -> None:
    async with gateway_stage(nats_url, tmp_path) as on:
        empty = on.storage.model_copy(update={"database_url": f"sqlite:///{tmp_path}/empty.db"})
        settings = on.gateway.settings.model_copy(update={"start_patience": 0.1})
        app = create_app(settings, on.bus_settings, empty)
        server = GatewayServer(app, settings)
        with pytest.raises(GatewayDidNotStart):
            await server.start()
        assert not server.started
        assert "agentflow db upgrade" in app.state.trouble.hint


async def _is_running(on: GatewayStage, execution_id: str) -> bool:
    answer = await on.client.get(f"/jobs/{execution_id}")
    return bool(answer.status_code == 200 and orjson.loads(answer.content)["status"] == "RUNNING")


async def test_a_database_that_hangs_is_503_and_what_the_log_knows_is_answered(
    nats_url: str, tmp_path: Path, postgres_url: str
) -> None:
    address = httpx.URL(postgres_url.replace("postgresql", "http"))
    async with Proxy(address.host, address.port or 5432) as proxy:
        through = postgres_url.replace(f":{address.port}/", f":{proxy.port}/")
        limits: dict[str, Any] = {"database_timeout_seconds": 0.5, "key_cache_seconds": 0.01}
        async with gateway_stage(nats_url, tmp_path, database_url=through, **limits) as on:
            execution_id = (await on.execute()).json()["execution_id"]
            assert (await on.client.get("/executions")).status_code == 200
            proxy.stall()
            job = await on.client.get(f"/jobs/{execution_id}")
            assert (job.status_code, job.json()["status"]) == (200, "COMPLETED")
            detail = await on.client.get(f"/executions/{execution_id}")
            assert (detail.status_code, detail.json()["status"]) == (200, "COMPLETED")
            assert (await on.execute()).json()["status"] == "success"
            for path in ("/executions", "/executions/exec_unknown", "/jobs/exec_unknown"):
                answer = await on.client.get(path)
                assert (answer.status_code, answer.json()["code"]) == (503, "database_down"), path
            proxy.flow()

            async def back() -> bool:
                return (await on.client.get("/executions")).status_code == 200

            await eventually(back, timeout=30)
