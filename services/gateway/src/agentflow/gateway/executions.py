"""What became of an execution: the record first, the log where the record lags behind.

Log and record are both asked for the caller's tenant only, so another tenant's execution is
simply not there. A terminal state in the record is final; anything else is checked against
the log, which is the truth.
"""

import asyncio
from typing import Any, Protocol

from nats.errors import Error as NatsError
from pydantic import ValidationError

from agentflow.bus.bus import Bus
from agentflow.bus.log_reader import StoredMessage
from agentflow.contracts.errors import DependencyDown
from agentflow.contracts.events import decode_event
from agentflow.contracts.ids import TenantId
from agentflow.gateway.bus_calls import answered
from agentflow.gateway.errors import Conflict, NotFound
from agentflow.gateway.fold import Stored, fold, outcome_of
from agentflow.gateway.large_values import LargeValues
from agentflow.gateway.live_feed import as_end, last_end
from agentflow.gateway.views import ExecutionOutcome
from agentflow.storage.views import ExecutionDetail, ExecutionSummary

_READ_SECONDS = 20.0


class Record(Protocol):
    """The history tables; each raises DependencyDown when the database is away."""

    async def summary(self, tenant: TenantId, execution_id: str) -> ExecutionSummary | None: ...
    async def detail(self, tenant: TenantId, execution_id: str) -> ExecutionDetail | None: ...


class Executions:
    """Reads executions of one tenant at a time."""

    def __init__(self, bus: Bus, record: Record, values: LargeValues, bus_seconds: float) -> None:
        self._bus = bus
        self._record = record
        self._values = values
        self._bus_seconds = bus_seconds

    async def summary(self, tenant: TenantId, execution_id: str) -> ExecutionSummary:
        """Status and figures; raises NotFound or DependencyDown."""
        recorded, trouble = None, None
        try:
            recorded = await self._record.summary(tenant, execution_id)
            if recorded is not None and recorded.status.is_terminal:
                return recorded
        except DependencyDown as error:
            trouble = error
        try:
            logged = await self._head(tenant, execution_id)
        except DependencyDown:
            if recorded is None:
                raise
            logged = None
        found = logged if logged is not None else recorded
        if found is None:
            raise trouble or missing(execution_id)
        if recorded is None:
            return found
        # The log's head tells the state, the record what the head does not hold.
        return recorded.model_copy(update=_said(found))

    async def detail(self, tenant: TenantId, execution_id: str) -> ExecutionDetail:
        """Everything known, every attempt of every node; raises NotFound or DependencyDown."""
        recorded, trouble = None, None
        try:
            recorded = await self._record.detail(tenant, execution_id)
        except DependencyDown as error:
            trouble = error
        if recorded is None or not recorded.status.is_terminal:
            recorded = await self._folded(tenant, execution_id) or recorded
        if recorded is None:
            raise trouble or missing(execution_id)
        state = await self._values.resolve(recorded.final_state, tenant)
        return recorded.model_copy(update={"final_state": state})

    async def outcome(self, tenant: TenantId, execution_id: str) -> ExecutionOutcome:
        """How it ended; raises Conflict while it runs, NotFound, DependencyDown."""
        try:
            async with answered(self._bus, self._bus_seconds):
                stored = await last_end(self._bus, tenant, execution_id)
        except DependencyDown:
            stored = None
        end = as_end(stored) if stored is not None else None
        if end is not None:
            state = await self._values.resolve(end.final_state, tenant)
            return outcome_of(end, state)
        return _outcome(await self.detail(tenant, execution_id))

    async def _head(self, tenant: TenantId, execution_id: str) -> ExecutionSummary | None:
        """The state as the last event about the execution itself tells it."""
        events: list[Stored] = []
        async with answered(self._bus, self._bus_seconds):
            ends = (
                self._bus.log.last(tenant, execution_id, rest)
                for rest in ("command.accepted", "execution.started", "execution.*")
            )
            found = {last.sequence: last for last in await asyncio.gather(*ends) if last}
        for sequence in sorted(found):
            events.extend(_decoded(found[sequence]))
        folded = fold(execution_id, events)
        if folded is None:
            return None
        fields = {name: getattr(folded, name) for name in ExecutionSummary.model_fields}
        return ExecutionSummary(**fields)

    async def _folded(self, tenant: TenantId, execution_id: str) -> ExecutionDetail | None:
        events: list[Stored] = []
        try:
            async with answered(self._bus, _READ_SECONDS):
                async for message in self._bus.read(tenant, execution_id):
                    events.extend(_decoded(message))
        except (DependencyDown, NatsError):
            return None
        return fold(execution_id, events)


def missing(execution_id: str) -> NotFound:
    """The same words whether it is not there or not yours."""
    return NotFound(f"There is no execution {execution_id!r}.")


def _said(summary: ExecutionSummary) -> dict[str, Any]:
    """The fields the summary has something to say about."""
    fields = {name: getattr(summary, name) for name in ExecutionSummary.model_fields}
    return {name: value for name, value in fields.items() if value not in (None, (), {})}


def _decoded(message: StoredMessage) -> list[Stored]:
    """The event, or nothing when this release cannot read it."""
    try:
        event = decode_event(message.subject, message.data)
    except ValidationError:
        return []
    return [] if event is None else [(message.sequence, event)]


def _outcome(detail: ExecutionDetail) -> ExecutionOutcome:
    if not detail.status.is_terminal:
        raise Conflict(
            "execution_running",
            f"The execution is {detail.status}; its result is not there yet.",
            execution_id=detail.execution_id,
        )
    return ExecutionOutcome(
        status="success" if detail.status == "COMPLETED" else "error",
        execution_id=detail.execution_id,
        execution_status=detail.status,
        final_state=detail.final_state or {},
        execution_time=(detail.duration_ms or 0.0) / 1000,
        tokens_used=detail.tokens_used or 0,
        cost=detail.cost,
        error=detail.error,
        warnings=detail.warnings,
    )
