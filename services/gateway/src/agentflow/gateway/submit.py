"""From a request to a stored command, and to the answer when its execution ends.

Nothing is accepted before the command is acknowledged by the stream. A publish without an
answer is `outcome_unknown`, never a failure: the command may be stored. The execution's id
is ours, and so is the message id made of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from agentflow.bus.bus import Bus
from agentflow.bus.definitions import Definitions
from agentflow.contracts.commands import ExecuteWorkflow
from agentflow.contracts.errors import AgentflowError, OutcomeUnknown
from agentflow.contracts.events import CommandAccepted, ExecutionEnded
from agentflow.contracts.ids import ExecutionId
from agentflow.gateway.bus_calls import answered, require_connection
from agentflow.gateway.clock import new_execution_id, utc_now
from agentflow.gateway.errors import NotFound
from agentflow.gateway.idempotency import IdempotencyKeys
from agentflow.gateway.json_places import place_of
from agentflow.gateway.large_values import LargeValues
from agentflow.gateway.live_feed import LiveFeed, Waiter
from agentflow.gateway.measures import Measures
from agentflow.gateway.permissions import Principal
from agentflow.gateway.requests import ExecuteRequest
from agentflow.gateway.settings import GatewaySettings
from agentflow.gateway.validation import Validation, refusal

_UNWATCHED = 0.5
"""Seconds of a wait that are cheaper than watching the client."""


class CommandUnanswered(OutcomeUnknown):
    """The bus did not say whether it stored the command: the execution may be running."""

    def __init__(self, execution_id: ExecutionId) -> None:
        super().__init__(
            "The bus did not say in time whether it stored the command.",
            hint="Repeat the request with the same Idempotency-Key: it cannot run twice.",
        )
        self.execution_id = execution_id


@dataclass(frozen=True, slots=True)
class Asked:
    """One execute request: who asks what, and the text it came in."""

    principal: Principal
    request: ExecuteRequest
    body: Any
    text: bytes
    request_id: str | None
    idempotency_key: str | None
    trace: Mapping[str, str]
    """Trace context the command carries on."""
    client_left: Callable[[], Awaitable[None]]
    """Returns when the client has closed its connection."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The command is stored. `replayed`: an earlier request stored it."""

    execution_id: ExecutionId
    replayed: bool
    end: ExecutionEnded | None = None


class Submitter:
    """Turns execute requests into commands."""

    def __init__(
        self,
        bus: Bus,
        feed: LiveFeed,
        validation: Validation,
        keys: IdempotencyKeys,
        values: LargeValues,
        measures: Measures,
        settings: GatewaySettings,
    ) -> None:
        self._bus = bus
        self._feed = feed
        self._validation = validation
        self._keys = keys
        self._values = values
        self._measures = measures
        self._settings = settings
        self._definitions = Definitions(bus)
        self._telling: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("agentflow.gateway")

    async def submit(self, asked: Asked) -> Submitted:
        """Store the command and say so; see `_store` for what is raised."""
        submitted = await self._store(asked, new_execution_id(), "async")
        if not submitted.replayed:
            await self._tell_accepted(asked, submitted.execution_id)
        return submitted

    async def submit_and_wait(self, asked: Asked, seconds: float) -> Submitted:
        """Store the command and wait for its end for at most `seconds`."""
        execution_id = new_execution_id()
        tenant = asked.principal.tenant
        with self._measures.waiting.track_inprogress():
            with self._feed.waiting(tenant, execution_id) as waiter:
                submitted = await self._store(asked, execution_id, "sync")
                if submitted.execution_id == execution_id:
                    self._tell_accepted_later(asked, execution_id)
                    end = await self._wait(asked, waiter, execution_id, seconds)
                    return Submitted(execution_id, submitted.replayed, end)
            with self._feed.waiting(tenant, submitted.execution_id) as waiter:
                waiter.doubt()  # it may be over long since: look into the log first
                end = await self._wait(asked, waiter, submitted.execution_id, seconds)
                return Submitted(submitted.execution_id, submitted.replayed, end)

    async def _wait(
        self, asked: Asked, waiter: Waiter, execution_id: ExecutionId, seconds: float
    ) -> ExecutionEnded | None:
        """The end; gives up early when the client leaves. Short waits do without the watch."""
        watching: list[asyncio.Task[None]] = []

        def watch() -> None:
            watching.append(asyncio.create_task(_watch(asked, waiter)))

        timer = asyncio.get_running_loop().call_later(_UNWATCHED, watch)
        try:
            return await self._feed.end_of(waiter, execution_id, seconds)
        finally:
            timer.cancel()
            for task in watching:
                task.cancel()

    async def close(self) -> None:
        """Wait shortly for events on their way."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=2)

    async def _store(self, asked: Asked, execution_id: ExecutionId, mode: str) -> Submitted:
        """Raises InvalidSpec, NotFound, Conflict, StreamFull, BusDown, CommandUnanswered …"""
        require_connection(self._bus)
        claim = None
        if asked.idempotency_key is not None:
            claim = await self._keys.claim(
                asked.principal.tenant, asked.idempotency_key, asked.body, execution_id
            )
            execution_id = claim.execution_id
            if claim.stored:
                self._measures.replayed.inc()
                return Submitted(execution_id, replayed=True)
        try:
            version = await self._check(asked)
            await self._publish(asked, execution_id, version)
        except CommandUnanswered:
            raise
        except AgentflowError:
            if claim is not None:
                await self._keys.release(claim)
            raise
        if claim is not None:
            self._keys.mark_stored(claim)
        self._measures.submitted.labels(mode).inc()
        return Submitted(execution_id, replayed=claim is not None and not claim.is_new)

    async def _check(self, asked: Asked) -> int | None:
        """The stored workflow's version, or None for an inline one that is valid."""
        request = asked.request
        tenant = asked.principal.tenant
        if request.workflow_id is not None:
            async with answered(self._bus, self._settings.bus_timeout_seconds):
                found = await self._definitions.get_workflow(
                    tenant, request.workflow_id, request.version
                )
            if found is None:
                which = f" in version {request.version}" if request.version else ""
                raise NotFound(f"There is no workflow {request.workflow_id!r}{which}.")
            return found[1]
        workflow = request.workflow or {}
        if self._validation.known_valid(tenant, workflow):
            return None
        place = place_of(asked.text.decode(), "workflow")
        seconds = self._settings.validator_timeout_seconds
        report = await self._validation.ask(tenant, place, seconds) if place else None
        if report is None:
            # The executor validates again before it runs anything.
            self._measures.validator_silent.inc()
            self._log.warning("gateway.validator_silent", seconds=seconds)
        elif not report.valid:
            raise refusal(report)
        else:
            self._validation.remember(tenant, workflow)
        return None

    async def _publish(self, asked: Asked, execution_id: ExecutionId, version: int | None) -> None:
        request, principal = asked.request, asked.principal
        state = await self._values.offload(request.initial_state, principal.tenant, execution_id)
        command = ExecuteWorkflow(
            tenant=principal.tenant,
            requested_by=principal.user,
            request_id=asked.request_id,
            occurred_at=utc_now(),
            execution_id=execution_id,
            workflow=request.workflow,
            workflow_id=request.workflow_id,
            workflow_version=version,
            initial_state=state,
            timeout_seconds=request.timeout_seconds,
            tags=tuple(request.tags),
            metadata=request.metadata,
        )
        try:
            await self._bus.publish(
                command,
                msg_id=f"execute-{execution_id}",
                timeout=self._settings.bus_timeout_seconds,
                headers=dict(asked.trace) or None,
            )
        except OutcomeUnknown as error:
            raise CommandUnanswered(execution_id) from error

    def _tell_accepted_later(self, asked: Asked, execution_id: ExecutionId) -> None:
        task = asyncio.create_task(self._tell_accepted(asked, execution_id))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_accepted(self, asked: Asked, execution_id: ExecutionId) -> None:
        """The command is stored whatever becomes of this event: nobody waits for it twice."""
        request, principal = asked.request, asked.principal
        name = (request.workflow or {}).get("name")
        event = CommandAccepted(
            tenant=principal.tenant,
            execution_id=execution_id,
            occurred_at=utc_now(),
            workflow_name=name[:200] if isinstance(name, str) else None,
            workflow_id=request.workflow_id,
            workflow_version=request.version,
            requested_by=principal.user,
            request_id=asked.request_id,
            tags=tuple(request.tags),
            metadata=request.metadata,
        )
        try:
            await self._bus.publish(
                event,
                msg_id=f"accepted-{execution_id}",
                timeout=self._settings.bus_timeout_seconds,
            )
        except AgentflowError as error:
            self._log.warning("gateway.accepted_not_told", error=error.code)


async def _watch(asked: Asked, waiter: Waiter) -> None:
    await asked.client_left()
    waiter.abandon()
