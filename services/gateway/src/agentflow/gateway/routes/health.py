"""Whether the gateway lives and is ready, and its figures. No key needed."""

from collections.abc import Mapping

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from agentflow.bus.errors import BusDown
from agentflow.gateway.answers import json_response
from agentflow.gateway.documentation import Also, Doc, document, plain
from agentflow.gateway.edge import API
from agentflow.gateway.parts import Gateway, gateway_of
from agentflow.gateway.views import HealthView
from agentflow.telemetry.health import Check, report, run_checks
from agentflow.telemetry.metrics import CONTENT_TYPE

_NO_STORE = {"Cache-Control": "no-store"}


def add_routes(app: FastAPI) -> None:
    """Serve /health and /metrics."""
    alive = document(Doc("Does the process live?", "health", HealthView, ()), public=True)
    not_ready: Also = {503: (HealthView, "Something it needs does not answer", {})}
    able = Doc("Can it serve requests?", "health", HealthView, (), also=not_ready)
    for path in ("/health", "/health/live"):
        app.add_api_route(API + path, live, methods=["GET"], name=path, **alive)
    for path in ("/health/ready", "/ready"):
        app.add_api_route(
            API + path, ready, methods=["GET"], name=path, **document(able, public=True)
        )
    app.add_api_route(
        f"{API}/metrics",
        metrics,
        methods=["GET"],
        **document(
            Doc("Figures for Prometheus", "health", None, ()),
            stream=plain("Prometheus text format", "agentflow_service_up 1.0\n"),
            public=True,
        ),
    )


async def live() -> Response:
    """Answers while the process can answer at all."""
    return json_response({"status": "alive", "checks": {}}, headers=_NO_STORE)


async def ready(request: Request) -> Response:
    """Asks the bus and the database; 503 names the one that does not answer."""
    is_ready, body = report(await run_checks(checks_of(gateway_of(request))))
    return json_response(body, 200 if is_ready else 503, _NO_STORE)


async def metrics(request: Request) -> Response:
    """Counters and timings of this process, without any ids."""
    text = gateway_of(request).measures.metrics.render()
    return Response(text, media_type=CONTENT_TYPE, headers=_NO_STORE)


def checks_of(gateway: Gateway) -> Mapping[str, Check]:
    """What readiness asks."""

    async def bus() -> None:
        if not gateway.bus.connected:
            raise BusDown("not connected")
        await gateway.bus.nc.flush(timeout=1)

    return {"bus": bus, "database": gateway.record.ping}
