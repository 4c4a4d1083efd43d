"""Writing what history has folded: one batch, one transaction, in any order, any number of times.

Events are inserted under their place in the stream; one that is there already changes nothing.
An execution's row is moved forward only: each group of columns belongs to the first event in
log order that can fill it, so the rows depend on the set of events and not on their delivery.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict

from sqlalchemy import ColumnElement, Table, and_, case, func, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from agentflow.storage.engine import Database
from agentflow.storage.tables import (
    execution_events,
    execution_labels,
    executions,
    node_executions,
    projection_state,
)

Row = dict[str, Any]
Insert = postgresql.Insert | sqlite.Insert

_IDENTITY = (
    "workflow_id",
    "workflow_version",
    "workflow_name",
    "requested_by",
    "request_id",
    "tags",
    "metadata",
    "search_name",
)
_START = (
    "started_seq",
    "started_at",
    "initial_state",
    "definition_hash",
    "node_count",
    "deadline_at",
    "search_input",
)
_CANCEL = ("cancel_seq", "cancel_requested_at", "cancel_requested_by", "cancel_reason")
_END = (
    "ended_seq",
    "ended_at",
    "final_state",
    "error",
    "issues",
    "warnings",
    "tokens_used",
    "cost",
    "duration_ms",
    "search_error",
)


class Progress(TypedDict):
    """How far the projection called `name` has come."""

    name: str
    last_seq: int
    last_event_at: datetime
    updated_at: datetime


@dataclass
class ProjectionBatch:
    """Rows ready to be written; every row of a list has the same keys, all of its table."""

    executions: list[Row] = field(default_factory=list)
    nodes: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    labels: list[Row] = field(default_factory=list)
    progress: Progress | None = None


class Projection:
    """Writes batches. Several writers may run at once: rows are locked in one order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        insert = postgresql.insert if database.dialect == "postgresql" else sqlite.insert
        self._insert_nodes = _insert_new(insert(node_executions))
        self._insert_events = _insert_new(insert(execution_events))
        self._insert_labels = _insert_new(insert(execution_labels))
        self._merge_executions = _merge(insert(executions))
        self._merge_progress = _advance(insert(projection_state))

    async def write(self, batch: ProjectionBatch) -> None:
        """All of it or nothing; raises DatabaseDown, or what the driver says of a bad row."""
        async with self._database.write() as connection:
            await _many(connection, self._insert_nodes, batch.nodes, node_executions)
            await _many(connection, self._insert_events, batch.events, execution_events)
            await _many(connection, self._insert_labels, batch.labels, execution_labels)
            await _many(connection, self._merge_executions, batch.executions, executions)
            if batch.progress is not None:
                await connection.execute(self._merge_progress, dict(batch.progress))


async def _many(
    connection: AsyncConnection, statement: Insert, rows: list[Row], table: Table
) -> None:
    if rows:
        key = [column.name for column in table.primary_key]
        rows.sort(key=lambda row: tuple(row[name] for name in key))
        await connection.execute(statement, rows)


def _insert_new(statement: Insert) -> Insert:
    return statement.on_conflict_do_nothing()


def _merge(statement: Insert) -> Insert:
    old, new = executions.c, statement.excluded
    starts = _first(old.started_seq, new.started_seq)
    cancels = _first(old.cancel_seq, new.cancel_seq)
    ends = _first(old.ended_seq, new.ended_seq)
    takes_over = and_(
        new.executor_seq.is_not(None),
        or_(old.executor_seq.is_(None), new.executor_seq > old.executor_seq),
    )
    changes: dict[str, Any] = {
        "status": case(
            (ends, new.status),
            (old.ended_seq.is_not(None), old.status),
            (new.executor_seq.is_not(None), new.status),
            else_=old.status,
        ),
        "created_at": case((new.created_at < old.created_at, new.created_at), else_=old.created_at),
        "accepted_seq": case(
            (_first(old.accepted_seq, new.accepted_seq), new.accepted_seq), else_=old.accepted_seq
        ),
        "executor_id": case((takes_over, new.executor_id), else_=old.executor_id),
        "executor_seq": case((takes_over, new.executor_seq), else_=old.executor_seq),
    }
    for name in _IDENTITY:
        # What the executor says of the workflow counts more than what the client said.
        changes[name] = case(
            (new.started_seq.is_not(None), func.coalesce(new[name], old[name])),
            else_=func.coalesce(old[name], new[name]),
        )
    for names, takes in ((_START, starts), (_CANCEL, cancels), (_END, ends)):
        for name in names:
            changes[name] = case((takes, new[name]), else_=old[name])
    return statement.on_conflict_do_update(
        index_elements=[old.tenant, old.execution_id], set_=changes
    )


def _advance(statement: Insert) -> Insert:
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=[projection_state.c.name],
        set_={
            "last_seq": new.last_seq,
            "last_event_at": new.last_event_at,
            "updated_at": new.updated_at,
        },
        where=new.last_seq > projection_state.c.last_seq,
    )


def _first(old: ColumnElement[int], new: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(new.is_not(None), or_(old.is_(None), new < old))
