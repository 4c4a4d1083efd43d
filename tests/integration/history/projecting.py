"""A projector over a real database, and what it left there."""

from typing import Any

from sqlalchemy import select

from agentflow.history.figures import Figures
from agentflow.history.projector import Projector
from agentflow.storage.engine import Database
from agentflow.storage.patience import PatientWriter
from agentflow.storage.projection import Projection
from agentflow.storage.tables import (
    execution_events,
    execution_labels,
    executions,
    node_executions,
)
from agentflow.storage.tenancy import ALL_TENANTS
from agentflow.telemetry.metrics import Metrics

TABLES = (executions, node_executions, execution_events, execution_labels)


def projector(database: Database, metrics: Metrics | None = None) -> Projector:
    writer = PatientWriter("test", write_timeout=10, retry_max=0.1, stopping=lambda: False)
    return Projector(Projection(database), writer, Figures(metrics or Metrics("test")))


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables history writes, in a fixed order."""
    found = {}
    async with database.read() as connection:
        for table in TABLES:
            rows = await connection.execute(
                select(table), execution_options={ALL_TENANTS: "a test looks at all of it"}
            )
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
    return found


async def wipe(database: Database) -> None:
    async with database.write() as connection:
        for table in TABLES:
            await connection.execute(
                table.delete(), execution_options={ALL_TENANTS: "a test starts over"}
            )
