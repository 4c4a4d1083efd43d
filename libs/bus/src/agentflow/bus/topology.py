"""The streams and durable consumers: declared here and nowhere else.

`apply` creates and adjusts them (operators, `agentflow bus apply`, the embedded stack).
Services only `check`, and refuse to start when something is missing or differs.
"""

import dataclasses
from dataclasses import dataclass

from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    KeyValueConfig,
    ObjectStoreConfig,
    RePublish,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from agentflow.bus import names
from agentflow.bus.errors import TopologyError
from agentflow.bus.settings import MEBIBYTE, BusSettings
from agentflow.contracts.commands import CancelExecution, ExecuteWorkflow, ValidateWorkflow
from agentflow.contracts.events import (
    ExecutionCancelled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionTimedOut,
)
from agentflow.contracts.message import StreamName

OLDEST_SERVER = (2, 12)
IDEMPOTENCY_SECONDS = 24 * 3600
PROJECTOR_ACK_WAIT = 10.0
"""Seconds until a batch of a killed projector comes again; a living one renews its lease."""
_COMMANDS = (ExecuteWorkflow, ValidateWorkflow, CancelExecution)
_STREAM_FIELDS = (
    "subjects",
    "retention",
    "discard",
    "discard_new_per_subject",
    "max_msgs_per_subject",
)


@dataclass(frozen=True)
class Durable:
    """One durable consumer of a stream."""

    stream: StreamName
    config: ConsumerConfig


@dataclass(frozen=True)
class Finding:
    """One line of `agentflow bus status`."""

    kind: str
    name: str
    state: str
    detail: str = ""

    @property
    def ok(self) -> bool:
        return self.state == "ok"


def streams(settings: BusSettings) -> list[StreamConfig]:
    """The five streams as they should be."""
    root = settings.prefix
    commands = _stream(settings, "COMMANDS", "commands", settings.commands_max_mib)
    tasks = _stream(settings, "TASKS", "tasks", settings.tasks_max_mib)
    events = _stream(settings, "EVENTS", "events", settings.events_max_mib)
    audit = _stream(settings, "AUDIT", "audit", settings.audit_max_mib)
    dead = _stream(settings, "DEAD", "dead", settings.dead_max_mib)
    return [
        # Only the verbs somebody takes: an order nobody would ever hear is refused at once.
        dataclasses.replace(
            commands,
            subjects=[order.pattern(root) for order in _COMMANDS],
            retention=RetentionPolicy.WORK_QUEUE,
        ),
        dataclasses.replace(
            tasks,
            retention=RetentionPolicy.WORK_QUEUE,
            max_msgs_per_subject=1,
            discard_new_per_subject=True,
        ),
        dataclasses.replace(
            events,
            max_age=settings.events_max_age,
            republish=RePublish(src=f"{root}.events.>", dest=f"{root}.{names.LIVE}.>"),
        ),
        audit,
        dead,
    ]


def durables(settings: BusSettings) -> list[Durable]:
    """Every durable consumer as it should be."""
    root = settings.prefix
    ends = [
        event.pattern(root)
        for event in (ExecutionCompleted, ExecutionFailed, ExecutionCancelled, ExecutionTimedOut)
    ]
    lease = settings.command_ack_wait
    found = [
        _durable(
            "COMMANDS",
            names.EXECUTOR,
            [ExecuteWorkflow.pattern(root)],
            lease,
            settings.max_in_flight,
        ),
        _durable("COMMANDS", names.VALIDATOR, [ValidateWorkflow.pattern(root)], lease),
        _durable("COMMANDS", names.CANCELLER, [CancelExecution.pattern(root)], lease),
        _durable("EVENTS", names.HISTORY, [f"{root}.events.>"], PROJECTOR_ACK_WAIT, 10_000),
        _durable("EVENTS", names.AUDIT, ends, PROJECTOR_ACK_WAIT),
        _durable("AUDIT", names.AUDIT_RECORDS, [f"{root}.audit.>"], PROJECTOR_ACK_WAIT),
    ]
    for pool in settings.pools:
        subject = f"{root}.tasks.{pool}.>"
        found.append(
            _durable("TASKS", names.pool_durable(pool), [subject], settings.task_ack_wait, 100_000)
        )
    return found


async def apply(js: JetStreamContext, settings: BusSettings) -> list[Finding]:
    """Create what is missing, adjust what differs; says what it did, one finding each."""
    done = [await _apply_stream(js, stream) for stream in streams(settings)]
    for durable in durables(settings):
        stream_name = names.stream_name(settings.prefix, durable.stream)
        state = await _consumer_state(js, stream_name, durable)
        await js.add_consumer(stream_name, durable.config)
        done.append(_finding("consumer", f"{stream_name}/{durable.config.name}", state))
    await _apply_buckets(js, settings)
    return done


async def status(js: JetStreamContext, settings: BusSettings) -> list[Finding]:
    """What is there and how it differs from what should be; changes nothing."""
    findings = [await _stream_state(js, stream) for stream in streams(settings)]
    for durable in durables(settings):
        stream_name = names.stream_name(settings.prefix, durable.stream)
        state = await _consumer_state(js, stream_name, durable)
        findings.append(_finding("consumer", f"{stream_name}/{durable.config.name}", state))
    for stream_name in _bucket_streams(settings):
        state = "ok" if await _exists(js, stream_name) else "missing"
        findings.append(Finding("bucket", stream_name, state))
    return findings


async def check(nc: Client, settings: BusSettings) -> None:
    """Raise TopologyError unless the server and all streams and consumers are as needed."""
    version = nc.connected_server_version
    if (version.major, version.minor) < OLDEST_SERVER:
        raise TopologyError(
            f"nats-server {version.major}.{version.minor} is too old; "
            f"{OLDEST_SERVER[0]}.{OLDEST_SERVER[1]} or newer is needed."
        )
    wrong = [f for f in await status(nc.jetstream(), settings) if not f.ok]
    if wrong:
        listed = "; ".join(f"{f.kind} {f.name}: {f.state} {f.detail}".strip() for f in wrong)
        raise TopologyError(
            f"The bus is not set up as this release needs it ({listed}).",
            hint="Run `agentflow bus apply`.",
        )


def _stream(settings: BusSettings, name: StreamName, token: str, max_mib: int) -> StreamConfig:
    return StreamConfig(
        name=names.stream_name(settings.prefix, name),
        subjects=[f"{settings.prefix}.{token}.>"],
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        discard_new_per_subject=False,
        max_msgs_per_subject=-1,
        max_bytes=max_mib * MEBIBYTE,
        storage=StorageType.FILE,
        num_replicas=settings.replicas,
        duplicate_window=120,
        allow_direct=True,
    )


def _durable(
    stream: StreamName,
    name: str,
    subjects: list[str],
    ack_wait: float,
    max_ack_pending: int = 10_000,
) -> Durable:
    filters = (
        {"filter_subject": subjects[0]} if len(subjects) == 1 else {"filter_subjects": subjects}
    )
    config = ConsumerConfig(
        name=name,
        durable_name=name,
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ack_wait,
        max_deliver=-1,
        max_ack_pending=max_ack_pending,
        max_waiting=512,
        **filters,
    )
    return Durable(stream, config)


async def _apply_stream(js: JetStreamContext, stream: StreamConfig) -> Finding:
    before = await _stream_state(js, stream)
    if before.state == "missing":
        await js.add_stream(stream)
    else:
        await js.update_stream(stream)
    return _finding("stream", stream.name or "", before.state)


def _finding(kind: str, name: str, state: str) -> Finding:
    word, _, detail = state.partition(" ")
    return Finding(kind, name, word, detail)


async def _stream_state(js: JetStreamContext, stream: StreamConfig) -> Finding:
    name = stream.name or ""
    try:
        actual = (await js.stream_info(name)).config
    except NotFoundError:
        return Finding("stream", name, "missing")
    differing = [f for f in _STREAM_FIELDS if _plain(actual, f) != _plain(stream, f)]
    if stream.republish and not actual.republish:
        differing.append("republish")
    if differing:
        return Finding("stream", name, "differs", f"in {', '.join(differing)}")
    return Finding("stream", name, "ok")


def _plain(config: StreamConfig, field: str) -> object:
    """Server and client spell an unset flag differently (None or False)."""
    return getattr(config, field) or None


async def _consumer_state(js: JetStreamContext, stream: str, durable: Durable) -> str:
    wanted = durable.config
    try:
        actual = (await js.consumer_info(stream, wanted.name or "")).config
    except NotFoundError:
        return "missing"
    if actual is None:
        return "missing"
    differing = [
        field
        for field in ("filter_subject", "filter_subjects", "ack_wait", "max_deliver")
        if (getattr(actual, field) or None) != (getattr(wanted, field) or None)
    ]
    return f"differs in {', '.join(differing)}" if differing else "ok"


async def _apply_buckets(js: JetStreamContext, settings: BusSettings) -> None:
    present = {s for s in _bucket_streams(settings) if await _exists(js, s)}
    definitions, idempotency, values = _bucket_streams(settings)
    prefix, replicas = settings.prefix, settings.replicas
    if definitions not in present:
        bucket = names.bucket_name(prefix, names.DEFINITIONS)
        await js.create_key_value(KeyValueConfig(bucket=bucket, replicas=replicas))
    if idempotency not in present:
        bucket = names.bucket_name(prefix, names.IDEMPOTENCY)
        await js.create_key_value(
            KeyValueConfig(bucket=bucket, ttl=IDEMPOTENCY_SECONDS, replicas=replicas)
        )
    if values not in present:
        bucket = names.bucket_name(prefix, names.VALUES)
        await js.create_object_store(
            bucket,
            config=ObjectStoreConfig(
                bucket=bucket,
                ttl=settings.events_max_age,
                max_bytes=settings.values_max_mib * MEBIBYTE,
                replicas=replicas,
            ),
        )


def _bucket_streams(settings: BusSettings) -> tuple[str, str, str]:
    prefix = settings.prefix
    return (
        f"KV_{names.bucket_name(prefix, names.DEFINITIONS)}",
        f"KV_{names.bucket_name(prefix, names.IDEMPOTENCY)}",
        f"OBJ_{names.bucket_name(prefix, names.VALUES)}",
    )


async def _exists(js: JetStreamContext, stream: str) -> bool:
    try:
        await js.stream_info(stream)
    except NotFoundError:
        return False
    return True
