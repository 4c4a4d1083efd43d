"""What people and tools look at: documentation, health, figures, traces."""

import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentflow.telemetry.tracing import configure_tracing
from tests.support.gateway_stage import GatewayStage, gateway_stage, hello
from tests.support.nats_server import NatsServer

pytestmark = [pytest.mark.nats, pytest.mark.asyncio(loop_scope="module")]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
@pytest.mark.parametrize("page", ["docs", "redoc"])
async def test_the_pages_and_all_they_load_come_from_here(
    shared: GatewayStage, prefix: str, page: str
) -> None:
    answer = await shared.client.get(f"{prefix}/{page}")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    for path in [name for name in loaded if not name.startswith("data:")]:
        asset = await shared.client.get(f"{prefix}/{path}")
        assert asset.status_code == 200
        assert asset.headers["x-content-type-options"] == "nosniff"
        assert asset.headers["content-type"].split(";")[0] in ("text/css", "text/javascript")


async def test_no_other_file_is_served_as_an_asset(shared: GatewayStage) -> None:
    for name in ("README.md", "docs.html", "../app.py", "%2e%2e%2fapp.py", "CHECKSUMS.sha256"):
        assert (await shared.client.get(f"/docs/assets/{name}")).status_code == 404


async def test_the_documents_name_this_installations_subjects(shared: GatewayStage) -> None:
    openapi = (await shared.client.get("/openapi.json")).json()
    assert "/api/v1/workflows/execute" in openapi["paths"]
    asyncapi = (await shared.client.get("/asyncapi.json")).json()
    address: str = asyncapi["channels"]["ExecuteWorkflow"]["address"]
    assert address == f"{shared.bus_settings.prefix}.commands.{{tenant}}.execute"


async def test_health_says_alive_and_ready(shared: GatewayStage) -> None:
    for path in ("/health", "/health/live"):
        assert (await shared.client.get(path)).json() == {"status": "alive", "checks": {}}
    for path in ("/health/ready", "/ready"):
        body: dict[str, Any] = (await shared.client.get(path)).json()
        assert body["status"] == "ready"
        assert set(body["checks"]) == {"bus", "database"}


async def _trace_of_the_command(on: GatewayStage, sent: str) -> str | None:
    seen: list[str | None] = []

    async def hear(msg: Any) -> None:
        seen.append((msg.headers or {}).get("traceparent"))

    subject = f"{on.bus_settings.prefix}.commands.*.execute"
    subscription = await on.nc.subscribe(subject, cb=hear)
    await on.nc.flush()
    await on.client.post(
        "/workflows/execute", json={"workflow": hello()}, headers={"traceparent": sent}
    )
    await on.nc.flush()
    await subscription.unsubscribe()
    return seen[0]


async def test_without_tracing_the_callers_trace_goes_on_as_it_came(shared: GatewayStage) -> None:
    assert await _trace_of_the_command(shared, PARENT) == PARENT
    assert await _trace_of_the_command(shared, "rubbish") is None


@pytest.mark.asyncio(loop_scope="function")
async def test_with_tracing_the_command_is_a_child_of_the_request(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    async with gateway_stage(nats_server.url, tmp_path) as on:
        exporter = InMemorySpanExporter()
        tracing = configure_tracing("gateway", sampling_ratio=1.0, exporter=exporter)
        on.server.config.app.state.tracing = tracing  # type: ignore[union-attr]  # our FastAPI app
        carried = await _trace_of_the_command(on, PARENT)
        tracing.shutdown()
        assert carried is not None
        assert carried.split("-")[1] == PARENT.split("-")[1]
        assert carried.split("-")[2] != PARENT.split("-")[2]
        names = [span.name for span in exporter.get_finished_spans()]
        assert "POST /api/v1/workflows/execute" in names
