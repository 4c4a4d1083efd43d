"""Audit: the only file that knows all its parts."""

import sys

from agentflow.audit.figures import Figures
from agentflow.audit.handlers import on_audit_records, on_execution_ends
from agentflow.audit.recorder import Recorder
from agentflow.audit.settings import AuditSettings
from agentflow.bus import names
from agentflow.bus.broker import HookedBroker, make_broker
from agentflow.bus.bus import Bus
from agentflow.bus.consumer import Consumer, consume_batches
from agentflow.bus.service import ServiceApp, make_app, run_service
from agentflow.bus.settings import BusSettings
from agentflow.contracts.audits import AuditRecord
from agentflow.contracts.events import ExecutionEnded
from agentflow.storage.audit import AuditLog
from agentflow.storage.engine import open_database
from agentflow.storage.migrate import wait_for_schema
from agentflow.storage.patience import PatientWriter
from agentflow.storage.settings import StorageSettings
from agentflow.telemetry.metrics import Metrics

SERVICE = "audit"


def create_app(
    settings: AuditSettings | None = None,
    bus_settings: BusSettings | None = None,
    storage_settings: StorageSettings | None = None,
) -> ServiceApp:
    """Audit over the bus and the database the settings name; nothing connects before start."""
    settings = settings or AuditSettings()
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
    recorder = Recorder(AuditLog(database), writer, figures)
    return make_app(
        bus,
        service=SERVICE,
        consumers=_consumers(broker, bus, recorder, settings),
        on_start=[lambda: wait_for_schema(database, settings.start_patience)],
        on_stop=[database.close],
        checks={"database": database.ping},
        metrics=metrics,
    )


def _consumers(
    broker: HookedBroker, bus: Bus, recorder: Recorder, settings: AuditSettings
) -> list[Consumer]:
    ends = consume_batches(
        broker,
        bus,
        stream="EVENTS",
        durable=names.AUDIT,
        subjects=[f"{bus.prefix}.events.*.*.execution.*"],
        handler=on_execution_ends(recorder),
        message=ExecutionEnded,
        max_batch=settings.max_batch,
        max_wait=settings.max_wait,
        ack_wait=settings.ack_wait,
    )
    records = consume_batches(
        broker,
        bus,
        stream="AUDIT",
        durable=names.AUDIT_RECORDS,
        subjects=[AuditRecord.pattern(bus.prefix)],
        handler=on_audit_records(recorder),
        message=AuditRecord,
        max_batch=settings.max_batch,
        max_wait=settings.max_wait,
        ack_wait=settings.ack_wait,
    )
    return [ends, records]


def main() -> None:
    """`agentflow-audit`."""
    sys.exit(run_service(create_app, SERVICE))
