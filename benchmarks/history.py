"""How many events per second history projects into SQL: one process, no bus in between.

`python -m benchmarks.history [--events N] [--database-url URL]`. Prints one line per
database: by default a SQLite file and, where the wheel is installed, a real PostgreSQL.
"""

import argparse
import asyncio
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agentflow.contracts.events import (
    CommandAccepted,
    Event,
    ExecutionCompleted,
    ExecutionStarted,
    NodeCompleted,
)
from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.history.figures import Figures
from agentflow.history.projector import Projector
from agentflow.storage import migrate
from agentflow.storage.engine import open_database
from agentflow.storage.patience import PatientWriter
from agentflow.storage.projection import Projection
from agentflow.storage.settings import StorageSettings
from agentflow.telemetry.metrics import Metrics

NODES = 10
BATCH = 500
TENANT = TenantId("bench")
START = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@dataclass
class Delivered:
    """A delivery without a bus."""

    subject: str
    data: bytes
    sequence: int
    timestamp: float

    async def dead_letter(self, code: str, reason: str) -> None:
        raise SystemExit(f"{code}: {reason}")


def execution(number: int) -> Iterator[Event]:
    """The thirteen events of one execution of ten nodes."""
    execution_id = ExecutionId(f"exec_{number:012d}")
    at = START + timedelta(milliseconds=number)
    ids = {"tenant": TENANT, "execution_id": execution_id, "occurred_at": at}
    yield CommandAccepted(**ids, workflow_name="fan", requested_by="bench", tags=("bench",))
    yield ExecutionStarted(
        **ids,
        executor_id="executor-1",
        workflow_name="fan",
        definition_hash="0" * 64,
        node_count=NODES,
        initial_state={"user_input": "Where is my order 4711?"},
        deadline=at + timedelta(hours=1),
        tags=("bench",),
    )
    for node in range(NODES):
        yield NodeCompleted(
            **ids,
            node_id=NodeId(f"node_{node}"),
            node_type="llm",
            worker_id="worker-1",
            dispatched_at=at,
            started_at=at,
            output={"text": "It is on its way and will arrive tomorrow.", "score": 0.93},
            output_key="text_result",
            input={"prompt": "Answer the customer."},
            writes={"tokens_used": 42},
        )
    state = {f"node_{node}": "It is on its way." for node in range(NODES)}
    yield ExecutionCompleted(**ids, final_state=state, duration_ms=8.5, workflow_name="fan")


def deliveries(count: int) -> list[Delivered]:
    """`count` events of executions that run 40 at a time, as a stream holds them."""
    found: list[Delivered] = []
    number = 0
    while len(found) < count:
        running = [list(execution(number + index)) for index in range(40)]
        number += 40
        for step in zip(*running, strict=True):
            for event in step:
                place = len(found) + 1
                found.append(Delivered(event.subject(), event.encode(), place, time.time()))
    return found[:count]


async def measure(url: str, events: list[Delivered]) -> tuple[float, float]:
    """Events per second, and seconds of CPU of this process per 1,000 events."""
    await migrate.upgrade(url)
    database = open_database(StorageSettings(database_url=url))
    writer = PatientWriter("bench", write_timeout=60, retry_max=1, stopping=lambda: False)
    projector = Projector(Projection(database), writer, Figures(Metrics("bench")))
    started, cpu = time.perf_counter(), time.process_time()
    for index in range(0, len(events), BATCH):
        await projector.project(events[index : index + BATCH])
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    await database.close()
    return len(events) / elapsed, cpu / len(events) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--database-url", default=None)
    options = parser.parse_args()
    events = deliveries(options.events)
    with ExitStack() as stack:
        for url in urls(stack, options.database_url):
            rate, cpu = asyncio.run(measure(url, events))
            name = url.split(":", 1)[0]
            print(
                f"history {name}: {rate:,.0f} events/s in batches of {BATCH} "
                f"({cpu:.3f} s CPU per 1,000; {options.events:,} events; "
                f"Python {platform.python_version()})"
            )


def urls(stack: ExitStack, given: str | None) -> Iterator[str]:
    if given is not None:
        yield given
        return
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    yield f"sqlite:///{Path(folder) / 'history.db'}"
    from tests.support.servers import PostgresServer, ServerMissing

    try:
        server = stack.enter_context(PostgresServer())
    except ServerMissing as reason:
        print(f"history postgresql: not measured, {reason}")
        return
    yield server.url("postgres")


if __name__ == "__main__":
    main()
