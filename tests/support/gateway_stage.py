"""A gateway on a real nats-server and a real database, its executor and validator played by
the test. Nothing of the gateway, the bus or the storage is replaced.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import nats
import orjson
from nats.aio.client import Client

from agentflow.bus import names, topology
from agentflow.bus.broker import make_broker
from agentflow.bus.bus import Bus, utc_now
from agentflow.bus.consumer import Delivery, consume
from agentflow.bus.service import ServiceApp, make_app
from agentflow.bus.settings import BusSettings
from agentflow.contracts.commands import CancelExecution, ExecuteWorkflow, ValidateWorkflow
from agentflow.contracts.events import (
    CancelRequested,
    Event,
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionStarted,
    NodeCompleted,
)
from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.contracts.message import Message
from agentflow.contracts.problem import Issue, NodeError
from agentflow.contracts.replies import ValidationReport
from agentflow.gateway.app import create_app
from agentflow.gateway.parts import Gateway
from agentflow.gateway.server import GatewayServer
from agentflow.gateway.settings import GatewaySettings
from agentflow.storage import migrate
from agentflow.storage.api_keys import ApiKeys
from agentflow.storage.engine import Database, open_database
from agentflow.storage.settings import StorageSettings
from agentflow.telemetry.settings import TelemetrySettings

TENANT = TenantId("acme")
OTHER = TenantId("rival")
Json = dict[str, Any]


def hello(name: str = "hello") -> Json:
    """A small workflow; the played executor acts by its name: see PlayedFleet."""
    return {
        "name": name,
        "start_node": "input",
        "nodes": [{"id": "input", "type": "input"}],
        "edges": [],
    }


@dataclass
class PlayedFleet:
    """Answers commands as executor and validator would: by the workflow's name.

    `hang` never ends, `fail` fails, `invalid` fails as a spec the executor refuses, anything
    else completes. A spec whose nodes are no list is invalid for the validator.
    """

    bus: Bus
    executed: list[ExecuteWorkflow] = field(default_factory=list)
    validated: list[ValidateWorkflow] = field(default_factory=list)
    cancelled: list[CancelExecution] = field(default_factory=list)
    validator_speaks: bool = True
    executor_works: bool = True
    honours_cancel: bool = True
    _done: set[str] = field(default_factory=set)

    async def on_execute(self, delivery: Delivery) -> None:
        command = ExecuteWorkflow.decode(delivery.data)
        self.executed.append(command)
        if self.executor_works:
            await self._run(command)
        await delivery.ack()

    async def on_validate(self, delivery: Delivery) -> None:
        command = ValidateWorkflow.decode(delivery.data)
        self.validated.append(command)
        await delivery.ack()
        if not self.validator_speaks or command.reply_to is None:
            return
        spec = orjson.loads(command.text or "null")
        valid = isinstance(spec, dict) and isinstance(spec.get("nodes"), list)
        issue = Issue(code="schema", message="no nodes", pointer="/nodes", line=1, column=2)
        report = ValidationReport(valid=valid, errors=() if valid else (issue,))
        await self.bus.reply(command.reply_to, report.encode())

    async def on_cancel(self, delivery: Delivery) -> None:
        command = CancelExecution.decode(delivery.data)
        self.cancelled.append(command)
        if self.honours_cancel:
            who = {"tenant": command.tenant, "execution_id": command.execution_id}
            await self.tell(CancelRequested(**who, occurred_at=utc_now()))
            await self.tell(
                ExecutionCancelled(
                    **who, occurred_at=utc_now(), final_state={"partial": True}, duration_ms=5.0
                )
            )
        await delivery.ack()

    async def tell(self, event: Event) -> int:
        return await self.bus.publish(event)

    async def _run(self, command: ExecuteWorkflow) -> None:
        execution_id = command.execution_id or ExecutionId("exec_none")
        if execution_id in self._done:
            return  # the fence of a real executor: started once
        self._done.add(execution_id)
        name = str((command.workflow or {}).get("name", "hello"))
        who: Json = {"tenant": command.tenant, "execution_id": execution_id}
        if name != "invalid":
            await self.tell(self._started(command, who, name))
        end: Json = {**who, "duration_ms": 12.0, "workflow_name": name}
        if name == "hang":
            return
        if name == "fail":
            error = NodeError(code="boom", message="it broke", node_id="input")
            await self.tell(
                ExecutionFailed(**end, occurred_at=utc_now(), final_state={"a": 1}, error=error)
            )
            return
        if name == "invalid":
            error = NodeError(code="invalid_workflow", message="bad")
            issues = (Issue(code="cycle", message="a cycle", pointer="/edges"),)
            failed = ExecutionFailed(
                **end, occurred_at=utc_now(), final_state={}, error=error, issues=issues
            )
            await self.tell(failed)
            return
        await self.tell(
            NodeCompleted(
                **who,
                occurred_at=utc_now(),
                started_at=utc_now(),
                node_id=NodeId("input"),
                node_type="input",
                output="done",
            )
        )
        state = {**command.initial_state, "final_output": "done"}
        await self.tell(
            ExecutionCompleted(
                **end, occurred_at=utc_now(), final_state=state, tokens_used=7, cost=0.5
            )
        )

    def _started(self, command: ExecuteWorkflow, who: Json, name: str) -> ExecutionStarted:
        return ExecutionStarted(
            **who,
            occurred_at=utc_now(),
            executor_id="played",
            workflow_name=name,
            definition_hash="0" * 64,
            node_count=1,
            initial_state=command.initial_state,
            deadline=utc_now() + timedelta(hours=1),
            tags=command.tags,
            metadata=command.metadata,
        )


class GatewayStage:
    """A gateway that listens, a client with a developer's key, and the played fleet."""

    def __init__(self, server: GatewayServer, gateway: Gateway, settings: BusSettings) -> None:
        self.server = server
        self.gateway = gateway
        self.bus_settings = settings
        self.url = server.url
        self.keys: dict[str, str] = {}
        self.fleet: PlayedFleet
        self.fleet_app: ServiceApp
        self.storage: StorageSettings
        self.nc: Client
        self.database: Database
        self.client: httpx.AsyncClient

    def as_role(self, role: str) -> dict[str, str]:
        """Headers of a caller of `acme` with that role; `rival` is another tenant's developer."""
        return {"X-API-Key": self.keys[role]}

    async def execute(self, workflow: Json | None = None, **body: Any) -> httpx.Response:
        """POST /workflows/execute."""
        return await self.client.post(
            "/api/v1/workflows/execute", json={"workflow": workflow or hello(), **body}
        )

    async def background(self, workflow: Json | None = None, **body: Any) -> str:
        """POST /workflows/execute/async; the execution's id."""
        answer = await self.client.post(
            "/api/v1/workflows/execute/async", json={"workflow": workflow or hello(), **body}
        )
        assert answer.status_code == 202, answer.text
        found: str = answer.json()["execution_id"]
        return found

    async def stream_messages(self, stream: str) -> int:
        """How many messages a stream holds."""
        name = names.stream_name(self.bus_settings.prefix, stream)  # type: ignore[arg-type]  # tests name it plainly
        return (await self.nc.jetstream().stream_info(name)).state.messages


async def make_keys(settings: StorageSettings) -> dict[str, str]:
    """A key for every role of `acme`, and one for a developer of `rival`."""
    database = open_database(settings)
    keys = ApiKeys(database, settings)
    found = {}
    try:
        for role in ("admin", "developer", "viewer", "executor"):
            made = await keys.create(
                TENANT, name=role, user=f"{role}-user", role=role, now=utc_now()
            )
            found[role] = made.secret
        made = await keys.create(OTHER, name="r", user="rival", role="developer", now=utc_now())
        found["rival"] = made.secret
    finally:
        await database.close()
    return found


def played_app(settings: BusSettings) -> tuple[ServiceApp, PlayedFleet]:
    """Executor, canceller and validator on the real bus, played."""
    broker = make_broker(settings, "played")
    bus = Bus(broker, settings)
    fleet = PlayedFleet(bus)

    def hears(
        message: type[Message], durable: str, handler: Callable[[Delivery], Awaitable[None]]
    ) -> Any:
        return consume(
            broker,
            bus,
            message=message,
            durable=durable,
            handler=handler,
            slots=64,
            ack_wait=settings.command_ack_wait,
            grace=0.2,
        )

    consumers = [
        hears(ExecuteWorkflow, names.EXECUTOR, fleet.on_execute),
        hears(ValidateWorkflow, names.VALIDATOR, fleet.on_validate),
        hears(CancelExecution, names.CANCELLER, fleet.on_cancel),
    ]
    app = make_app(bus, service="played", consumers=consumers, telemetry=TelemetrySettings())
    return app, fleet


@asynccontextmanager
async def gateway_stage(
    nats_url: str,
    folder: Path,
    *,
    database_url: str | None = None,
    bus_values: Json | None = None,
    gateway_nats_url: str | None = None,
    **settings: Any,
) -> AsyncIterator[GatewayStage]:
    """A running gateway; everything on it is stopped at the end.

    `gateway_nats_url` leads the gateway alone over another way to the same bus.
    """
    bus_settings = BusSettings(
        nats_url=nats_url, prefix=f"t{uuid.uuid4().hex[:8]}", **(bus_values or {})
    )
    storage = StorageSettings(database_url=database_url or f"sqlite:///{folder}/gateway.db")
    await migrate.upgrade(storage.database_url)
    nc = await nats.connect(nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    await topology.apply(nc.jetstream(), bus_settings)
    played, fleet = played_app(bus_settings)
    values = {"port": 0, "shutdown_grace_seconds": 2, "start_patience": 1, **settings}
    gateway_settings = GatewaySettings(**values)
    way = {"nats_url": gateway_nats_url or nats_url}
    app = create_app(gateway_settings, bus_settings.model_copy(update=way), storage)
    server = GatewayServer(app, gateway_settings)
    keys = await make_keys(storage)
    await played.start()
    await server.start()
    stage = GatewayStage(server, app.state.gateway, bus_settings)
    stage.keys, stage.fleet, stage.nc = keys, fleet, nc
    stage.fleet_app, stage.storage = played, storage
    stage.database = open_database(storage)
    headers = {"X-API-Key": keys["developer"]}
    try:
        async with httpx.AsyncClient(
            base_url=server.url, headers=headers, timeout=20, trust_env=False
        ) as client:
            stage.client = client
            yield stage
    finally:
        await server.stop()
        with_connection = played.bus.connected
        await (played.stop() if with_connection else asyncio.sleep(0))
        await stage.database.close()
        await nc.close()
