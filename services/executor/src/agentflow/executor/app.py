"""The executor's parts, put together. The only file that knows everybody."""

import socket
import sys
import uuid

from agentflow.bus import names
from agentflow.bus.broker import make_broker
from agentflow.bus.bus import Bus
from agentflow.bus.consumer import consume
from agentflow.bus.definitions import Definitions
from agentflow.bus.service import ServiceApp, make_app, run_service
from agentflow.bus.settings import BusSettings
from agentflow.bus.values import ValueStore
from agentflow.contracts.commands import CancelExecution, ExecuteWorkflow
from agentflow.executor.compiled import Compiler
from agentflow.executor.handlers import Handlers
from agentflow.executor.measures import Measures
from agentflow.executor.parts import Parts
from agentflow.executor.running import Running
from agentflow.executor.settings import ExecutorSettings
from agentflow.executor.sweeper import Sweeper
from agentflow.telemetry.metrics import Metrics

SERVICE = "executor"
_CANCEL_SLOTS = 64


def create_app(
    settings: ExecutorSettings | None = None, bus_settings: BusSettings | None = None
) -> ServiceApp:
    """An executor; nothing connects before it is started."""
    settings = settings or ExecutorSettings()
    bus_settings = bus_settings or BusSettings()
    broker = make_broker(bus_settings, SERVICE)
    bus = Bus(broker, bus_settings)
    metrics = Metrics(SERVICE)
    measures = Measures(metrics)
    executor_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    compiler = Compiler(Definitions(bus), settings.plan_cache)
    parts = Parts(bus, ValueStore(bus), compiler, settings, measures, executor_id)
    running = Running(executor_id, measures)
    handlers = Handlers(parts, running)
    broker.hooks.on_disconnect(running.on_disconnect)
    broker.hooks.on_gap(running.on_gap)
    consumers = [
        consume(
            broker,
            bus,
            message=ExecuteWorkflow,
            durable=names.EXECUTOR,
            handler=handlers.on_execute,
            slots=settings.slots,
            ack_wait=bus_settings.command_ack_wait,
            grace=settings.grace,
        ),
        consume(
            broker,
            bus,
            message=CancelExecution,
            durable=names.CANCELLER,
            handler=handlers.on_cancel,
            slots=_CANCEL_SLOTS,
            ack_wait=bus_settings.command_ack_wait,
            grace=settings.grace,
        ),
    ]
    sweeper = Sweeper(bus, measures, settings.sweep_every)
    return make_app(
        bus,
        service=SERVICE,
        consumers=consumers,
        on_start=[sweeper.start],
        on_stop=[sweeper.stop],
        metrics=metrics,
    )


def main() -> None:
    """Run the executor until SIGTERM."""
    sys.exit(run_service(create_app, SERVICE))
