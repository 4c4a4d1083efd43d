"""The validator's parts, put together. The only file here that knows everybody."""

import sys

from agentflow.bus import names
from agentflow.bus.broker import make_broker
from agentflow.bus.bus import Bus
from agentflow.bus.consumer import consume
from agentflow.bus.definitions import Definitions
from agentflow.bus.service import ServiceApp, make_app, run_service
from agentflow.bus.settings import BusSettings
from agentflow.contracts.commands import ValidateWorkflow
from agentflow.telemetry.metrics import Metrics
from agentflow.validator.handlers import Handlers
from agentflow.validator.measures import Measures
from agentflow.validator.reports import Reports
from agentflow.validator.settings import ValidatorSettings

SERVICE = "validator"


def create_app(
    settings: ValidatorSettings | None = None, bus_settings: BusSettings | None = None
) -> ServiceApp:
    """A validator; nothing connects before it is started."""
    settings = settings or ValidatorSettings()
    bus_settings = bus_settings or BusSettings()
    broker = make_broker(bus_settings, SERVICE)
    bus = Bus(broker, bus_settings)
    metrics = Metrics(SERVICE)
    reports = Reports(Definitions(bus), settings)
    handlers = Handlers(bus, reports, Measures(metrics))
    questions = consume(
        broker,
        bus,
        message=ValidateWorkflow,
        durable=names.VALIDATOR,
        handler=handlers.on_validate,
        slots=settings.slots,
        ack_wait=bus_settings.command_ack_wait,
        grace=settings.grace,
    )
    return make_app(
        bus,
        service=SERVICE,
        consumers=[questions],
        on_start=[reports.preload],
        on_stop=[reports.close],
        metrics=metrics,
    )


def main() -> None:
    """Run the validator until SIGTERM."""
    sys.exit(run_service(create_app, SERVICE))
