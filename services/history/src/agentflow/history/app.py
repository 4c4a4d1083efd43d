"""History: the only file that knows all its parts."""

import sys

from agentflow.bus import names
from agentflow.bus.broker import make_broker
from agentflow.bus.bus import Bus
from agentflow.bus.consumer import consume_batches
from agentflow.bus.service import ServiceApp, make_app, run_service
from agentflow.bus.settings import BusSettings
from agentflow.contracts.events import Event
from agentflow.history.figures import Figures
from agentflow.history.handlers import on_events
from agentflow.history.projector import Projector
from agentflow.history.settings import HistorySettings
from agentflow.storage.engine import open_database
from agentflow.storage.migrate import wait_for_schema
from agentflow.storage.patience import PatientWriter
from agentflow.storage.projection import Projection
from agentflow.storage.settings import StorageSettings
from agentflow.telemetry.metrics import Metrics

SERVICE = "history"


def create_app(
    settings: HistorySettings | None = None,
    bus_settings: BusSettings | None = None,
    storage_settings: StorageSettings | None = None,
) -> ServiceApp:
    """History over the bus and the database the settings name; nothing connects before start."""
    settings = settings or HistorySettings()
    bus_settings = bus_settings or BusSettings()
    database = open_database(storage_settings or StorageSettings())
    broker = make_broker(bus_settings, SERVICE)
    bus = Bus(broker, bus_settings)
    metrics = Metrics(SERVICE)
    figures = Figures(metrics)
    writer = PatientWriter(
        SERVICE,
        write_timeout=settings.write_timeout,
        retry_max=settings.retry_max,
        stopping=lambda: broker.hooks.stopping,
        on_held=figures.held,
    )
    projector = Projector(Projection(database), writer, figures)
    events = consume_batches(
        broker,
        bus,
        stream="EVENTS",
        durable=names.HISTORY,
        subjects=[f"{bus_settings.prefix}.events.>"],
        handler=on_events(projector),
        message=Event,
        max_batch=settings.max_batch,
        max_wait=settings.max_wait,
        ack_wait=settings.ack_wait,
    )
    return make_app(
        bus,
        service=SERVICE,
        consumers=[events],
        on_start=[lambda: wait_for_schema(database, settings.start_patience)],
        on_stop=[database.close],
        checks={"database": database.ping},
        metrics=metrics,
    )


def main() -> None:
    """`agentflow-history`."""
    sys.exit(run_service(create_app, SERVICE))
