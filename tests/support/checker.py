"""The one checker of what a run left behind: it reads the streams and the tables, believes
nobody, and names every promise that was broken.

Every accepted execution ended exactly once; a node counted once, with its first result in the
log; the rows are the stream, no gap and no double; nothing is left to do and nothing un-acked.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import nats
from nats.js import JetStreamContext
from sqlalchemy import select

from agentflow.contracts.events import (
    Event,
    ExecutionEnded,
    ExecutionStarted,
    NodeCompleted,
    NodeEvent,
    decode_event,
)
from agentflow.storage.engine import Database, open_database
from agentflow.storage.settings import StorageSettings
from agentflow.storage.tables import execution_events, executions, node_executions
from agentflow.storage.tenancy import ALL_TENANTS

WORK = {
    "COMMANDS": ("executor", "validator", "canceller"),
    "EVENTS": ("history", "audit"),
    "AUDIT": ("audit_records",),
}
Key = tuple[str, str]


@dataclass
class Found:
    """What streams and tables hold. `log` is by (tenant, execution), in stream order."""

    log: dict[Key, list[Event]] = field(default_factory=lambda: defaultdict(list))
    sequences: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    statuses: dict[Key, str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    pending: dict[str, tuple[int, int]] = field(default_factory=dict)


async def find(nats_url: str, storage: StorageSettings, prefix: str = "agentflow") -> Found:
    """Read everything there is."""
    found = Found()
    connection = await nats.connect(nats_url)
    try:
        js = connection.jetstream()
        await _read_log(js, prefix, found)
        await _read_work(js, prefix, found)
    finally:
        await connection.close()
    database = open_database(storage)
    try:
        await _read_rows(database, found)
    finally:
        await database.close()
    return found


def violations(
    found: Found, accepted: Collection[Key], nodes: Collection[str], status: str = "COMPLETED"
) -> list[str]:
    """One line for each broken promise; empty when all were kept.

    `accepted` are the executions somebody was told of, `nodes` what each of them consists of.
    """
    broken = [line for key in sorted(accepted) for line in _of_execution(found, key, nodes, status)]
    unasked = set(found.log) - set(accepted)
    broken += [f"{key}: nobody was told it was accepted" for key in sorted(unasked)]
    doubled = [seq for seq, count in Counter(found.rows).items() if count > 1]
    if doubled:
        broken.append(f"history holds events twice: {doubled[:10]}")
    missing = set(found.sequences) - set(found.rows)
    if missing:
        broken.append(f"history lacks {len(missing)} events: {sorted(missing)[:10]}")
    invented = set(found.rows) - set(found.sequences)
    if invented:
        broken.append(f"history holds what the stream does not: {sorted(invented)[:10]}")
    broken += [
        f"{name} still holds {count} messages" for name, count in found.left.items() if count
    ]
    broken += [
        f"{name}: {unacked} un-acked, {waiting} waiting"
        for name, (unacked, waiting) in found.pending.items()
        if unacked or waiting
    ]
    return broken


def _of_execution(found: Found, key: Key, nodes: Collection[str], status: str) -> list[str]:
    log = found.log.get(key, [])
    ends = [event for event in log if isinstance(event, ExecutionEnded)]
    starts = [event for event in log if isinstance(event, ExecutionStarted)]
    broken = []
    if len(starts) != 1:
        broken.append(f"{key}: started {len(starts)} times")
    if len(ends) != 1:
        return [*broken, f"{key}: ended {len(ends)} times"]
    end = ends[0]
    if status != end.STATUS:
        broken.append(f"{key}: ended {end.STATUS}: {end.error}")
    if found.statuses.get(key) != end.STATUS:
        broken.append(f"{key}: history says {found.statuses.get(key)}, the log {end.STATUS}")
    first = first_results(log[: log.index(end)])
    if set(first) != set(nodes):
        broken.append(f"{key}: results of {sorted(first)} instead of {sorted(nodes)}")
    outputs = {node_id: event.output for node_id, event in first.items()}
    if end.final_state.get("outputs") != outputs:
        broken.append(f"{key}: the outputs are not the first results in the log")
    tokens = sum(event.writes.get("tokens_used", 0) for event in first.values())
    if end.final_state.get("tokens_used", 0) != tokens:
        said = end.final_state.get("tokens_used")
        broken.append(f"{key}: {said} tokens, the first results come to {tokens}")
    return broken


def first_results(log: list[Event]) -> Mapping[str, NodeCompleted]:
    """The first word of the log on each node, where that is a result."""
    first: dict[str, Event] = {}
    for event in log:
        if isinstance(event, NodeEvent) and type(event).__name__ in _OUTCOMES:
            first.setdefault(event.node_id, event)
    return {node: event for node, event in first.items() if isinstance(event, NodeCompleted)}


_OUTCOMES = frozenset(("NodeCompleted", "NodeFailed", "NodeTimedOut", "NodeSkipped"))


async def _read_log(js: JetStreamContext, prefix: str, found: Found) -> None:
    stream = f"{prefix}_EVENTS"
    last = (await js.stream_info(stream)).state.last_seq
    if not last:
        return
    subscription = await js.subscribe(f"{prefix}.events.>", stream=stream, ordered_consumer=True)
    async with asyncio.timeout(60):
        while True:
            message = await subscription.next_msg(timeout=30)
            sequence = message.metadata.sequence.stream
            found.sequences.append(sequence)
            event = decode_event(message.subject, message.data)
            if event is not None:
                found.log[event.tenant, event.execution_id].append(event)
            if sequence >= last:
                break
    await subscription.unsubscribe()


async def _read_work(js: JetStreamContext, prefix: str, found: Found) -> None:
    for name in ("COMMANDS", "TASKS"):
        found.left[name] = (await js.stream_info(f"{prefix}_{name}")).state.messages
    durables = [(stream, durable) for stream, names in WORK.items() for durable in names]
    durables += [("TASKS", c.name or "") for c in await js.consumers_info(f"{prefix}_TASKS")]
    for stream, durable in durables:
        info = await js.consumer_info(f"{prefix}_{stream}", durable)
        found.pending[f"{stream}/{durable}"] = (info.num_ack_pending or 0, info.num_pending or 0)


async def _read_rows(database: Database, found: Found) -> None:
    everyone = {ALL_TENANTS: "the checker looks at all of it"}
    async with database.read() as connection:
        for table in (node_executions, execution_events):
            rows = await connection.execute(select(table.c.event_seq), execution_options=everyone)
            found.rows += [row[0] for row in rows]
        columns = (executions.c.tenant, executions.c.execution_id, executions.c.status)
        for tenant, execution_id, status in await connection.execute(
            select(*columns), execution_options=everyone
        ):
            found.statuses[tenant, execution_id] = status
