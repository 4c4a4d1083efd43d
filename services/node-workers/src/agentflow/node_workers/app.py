"""The worker's parts, put together. The only file that knows everybody."""

import os
import socket
import ssl
import sys
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from agentflow.bus import names
from agentflow.bus.broker import make_broker
from agentflow.bus.bus import Bus
from agentflow.bus.consumer import consume
from agentflow.bus.service import ServiceApp, make_app, run_service
from agentflow.bus.settings import BusSettings
from agentflow.bus.values import ValueStore
from agentflow.contracts.tasks import RunNode
from agentflow.node_workers.cancels import Cancels
from agentflow.node_workers.egress.policy import EgressPolicy
from agentflow.node_workers.handlers import Handlers
from agentflow.node_workers.llm.registry import LlmProviders
from agentflow.node_workers.measures import Measures
from agentflow.node_workers.nodes.api import ApiNode
from agentflow.node_workers.nodes.db import DbNode
from agentflow.node_workers.nodes.llm import LlmNode
from agentflow.node_workers.nodes.pure import PURE_KINDS, PureNode
from agentflow.node_workers.runner import NodeRunner
from agentflow.node_workers.secrets import Secrets
from agentflow.node_workers.settings import WorkersSettings
from agentflow.node_workers.sql.registry import Databases
from agentflow.node_workers.worker import Worker, WorkerParts
from agentflow.telemetry.metrics import Metrics

SERVICE = "node-workers"


def make_runner(
    settings: WorkersSettings | None = None, environ: Mapping[str, str] | None = None
) -> NodeRunner:
    """A runner of every node type; no bus needed. `environ` is where secrets are looked up."""
    settings = settings or WorkersSettings()
    # A copy: in the embedded stack the variables are lent only while the parts are made.
    environ = dict(os.environ if environ is None else environ)
    secrets = Secrets(environ, well_known_for=settings.well_known_secrets_for)
    policy = EgressPolicy(settings.egress_allow)
    tls = ssl.create_default_context()
    threads = ThreadPoolExecutor(settings.sqlite_threads, thread_name_prefix="sqlite")
    databases = Databases(secrets, policy, threads, settings.sqlite_roots)
    return NodeRunner(
        {
            **dict.fromkeys(PURE_KINDS, PureNode()),
            "llm": LlmNode(LlmProviders(secrets, policy, tls), settings.max_sources),
            "db": DbNode(databases, settings.max_sources),
            "api": ApiNode(secrets, policy, tls, settings.max_sources),
        }
    )


def create_app(
    settings: WorkersSettings | None = None,
    bus_settings: BusSettings | None = None,
    runner: NodeRunner | None = None,
) -> ServiceApp:
    """A worker of the pools in `settings.types`; nothing connects before it is started."""
    settings = settings or WorkersSettings()
    bus_settings = bus_settings or BusSettings()
    runner = runner or make_runner(settings)
    broker = make_broker(bus_settings, SERVICE)
    bus = Bus(broker, bus_settings)
    metrics = Metrics(SERVICE)
    cancels = Cancels(bus)
    worker_id = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    measures = Measures(metrics, lambda: cancels.count)
    worker = Worker(
        WorkerParts(bus, ValueStore(bus), runner, cancels, measures, settings, worker_id)
    )
    handlers = Handlers(bus, worker)
    broker.hooks.on_gap(cancels.on_gap)
    consumers = [
        consume(
            broker,
            bus,
            message=RunNode,
            durable=names.pool_durable(pool),
            subject=RunNode.pattern(bus.prefix, pool=pool),
            handler=handlers.on_run_node,
            slots=settings.slots,
            ack_wait=bus_settings.task_ack_wait,
            grace=settings.shutdown_grace_seconds,
        )
        for pool in settings.types
    ]
    return make_app(
        bus,
        service=SERVICE,
        consumers=consumers,
        metrics=metrics,
        on_start=[cancels.listen],
        on_stop=[cancels.stop, runner.aclose],
    )


def main() -> None:
    """Run the worker until SIGTERM."""
    sys.exit(run_service(create_app, SERVICE))
