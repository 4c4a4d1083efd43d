"""The gateway, assembled. The only file here that knows everybody.

`create_app` builds and connects to nothing; the lifespan connects, and refuses to start
when bus or tables are not what this release needs. `main` is the console script.
"""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from agentflow.bus.broker import make_broker
from agentflow.bus.bus import Bus
from agentflow.bus.settings import BusSettings
from agentflow.contracts.errors import AgentflowError
from agentflow.gateway.edge import Edge
from agentflow.gateway.measures import Measures
from agentflow.gateway.openapi import openapi_document
from agentflow.gateway.parts import Gateway, build
from agentflow.gateway.problems import add_problem_handlers
from agentflow.gateway.record import SqlRecord
from agentflow.gateway.routes import docs, events, executions, health, jobs, workflows
from agentflow.gateway.settings import GatewaySettings
from agentflow.storage.settings import StorageSettings
from agentflow.telemetry.logging import configure_logging
from agentflow.telemetry.metrics import Metrics
from agentflow.telemetry.settings import TelemetrySettings
from agentflow.telemetry.tracing import configure_tracing

SERVICE = "gateway"


def create_app(
    settings: GatewaySettings | None = None,
    bus_settings: BusSettings | None = None,
    storage_settings: StorageSettings | None = None,
) -> FastAPI:
    """The application; its parts are at `app.state.gateway`."""
    settings = settings or GatewaySettings()
    bus_settings = bus_settings or BusSettings()
    bus = Bus(make_broker(bus_settings, SERVICE), bus_settings)
    record = SqlRecord(
        storage_settings or StorageSettings(),
        patience=settings.start_patience,
        timeout=settings.database_timeout_seconds,
    )
    gateway = build(settings, bus, record, Measures(Metrics(SERVICE)))
    app = FastAPI(
        title="AgentFlow Core",
        version=version("agentflow-gateway"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
    )
    app.state.gateway = gateway
    add_problem_handlers(app)
    for part in (workflows, jobs, executions, events, health, docs):
        part.add_routes(app)
    app.openapi = lambda: openapi_document(app)  # type: ignore[method-assign]  # FastAPI's own hook
    app.add_middleware(Edge, measures=gateway.measures, drain_limit=settings.max_drain_bytes)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    gateway: Gateway = app.state.gateway
    telemetry = TelemetrySettings.from_env(os.environ)
    tracing = configure_tracing(SERVICE, telemetry.otlp_endpoint, telemetry.sampling_ratio)
    app.state.tracing = tracing
    try:
        await gateway.open()
        yield
    except AgentflowError as error:
        app.state.trouble = error
        raise
    finally:
        await gateway.close()
        tracing.shutdown()


def main() -> None:
    """Serve until SIGTERM or SIGINT; exit 0 after an orderly stop, 1 when it cannot start."""
    from agentflow.gateway.server import serve

    try:
        telemetry = TelemetrySettings.from_env(os.environ)
        configure_logging(SERVICE, telemetry.log_level, telemetry.log_format == "json")
        settings = GatewaySettings()
        app = create_app(settings)
    except ValueError as error:  # settings: pydantic and telemetry say which and why
        sys.stderr.write(f"agentflow {SERVICE}: cannot start: {error}\n")
        raise SystemExit(1) from None
    code = serve(app, settings)
    trouble: AgentflowError | None = getattr(app.state, "trouble", None)
    if trouble is not None:
        hint = f" {trouble.hint}" if trouble.hint else ""
        sys.stderr.write(f"agentflow {SERVICE}: cannot start: {trouble.message}{hint}\n")
    raise SystemExit(code)
