"""Asks the validator over the bus, and remembers which specs it found valid.

The gateway knows nothing of graphs. Answers come on one inbox per process. A valid spec is
remembered by tenant and content hash, so a repeated execute asks nobody.
"""

import asyncio
import hashlib
import uuid
from collections import OrderedDict
from typing import Any

import orjson
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from pydantic import ValidationError

from agentflow.bus.bus import Bus
from agentflow.bus.errors import BusDown
from agentflow.contracts.commands import ValidateWorkflow
from agentflow.contracts.errors import BadInput, DependencyDown, InvalidSpec, OutcomeUnknown
from agentflow.contracts.ids import TenantId
from agentflow.contracts.problem import Issue, Problem
from agentflow.contracts.replies import ValidationReport
from agentflow.gateway.bus_calls import require_connection
from agentflow.gateway.clock import utc_now
from agentflow.gateway.json_places import Place, place_of
from agentflow.gateway.requests import ValidateRequest, parse_request


class ValidatorRefused(BadInput):
    """The validator could not use the question."""

    code = "validation_refused"
    status = 422


class ValidatorSilent(DependencyDown):
    """The validator does not answer just now."""

    code = "validator_down"


class Validation:
    """`await start()` once the bus is open."""

    def __init__(self, bus: Bus, cache_entries: int) -> None:
        self._bus = bus
        self._capacity = cache_entries
        self._valid: OrderedDict[bytes, None] = OrderedDict()
        self._questions: dict[str, asyncio.Future[bytes]] = {}
        self._inbox = ""
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Open the inbox."""
        self._inbox = self._bus.nc.new_inbox()
        self._subscription = await self._bus.nc.subscribe(f"{self._inbox}.*", cb=self._on_answer)

    async def stop(self) -> None:
        """Close the inbox."""
        if self._subscription is not None and self._bus.connected:
            await self._subscription.unsubscribe()
        self._subscription = None

    def known_valid(self, tenant: str, workflow: dict[str, Any]) -> bool:
        """Whether the validator found this very spec valid before."""
        name = _name(tenant, workflow)
        if name not in self._valid:
            return False
        self._valid.move_to_end(name)
        return True

    def remember(self, tenant: str, workflow: dict[str, Any]) -> None:
        """Note that the validator found the spec valid."""
        self._valid[_name(tenant, workflow)] = None
        while len(self._valid) > self._capacity:
            self._valid.popitem(last=False)

    async def ask(
        self,
        tenant: TenantId,
        place: Place,
        seconds: float,
        *,
        plan: bool = False,
        node: str | None = None,
    ) -> ValidationReport | None:
        """The validator's report; None when it is silent for `seconds`.

        Raises BusDown, PayloadTooLarge, ValidatorRefused.
        """
        require_connection(self._bus)
        token = uuid.uuid4().hex
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._questions[token] = answer
        command = ValidateWorkflow(
            tenant=tenant,
            text=place.text,
            plan=plan,
            node=node,
            reply_to=f"{self._inbox}.{token}",
            occurred_at=utc_now(),
        )
        try:
            async with asyncio.timeout(seconds):
                await self._bus.publish(command, timeout=seconds)
                data = await answer
        except (TimeoutError, OutcomeUnknown):
            return None
        finally:
            del self._questions[token]
        return _report(data, place)

    async def _on_answer(self, msg: Msg) -> None:
        question = self._questions.get(msg.subject.rpartition(".")[2])
        if question is not None and not question.done():
            question.set_result(msg.data)


async def check_workflow(
    validation: Validation,
    tenant: TenantId,
    body: Any,
    text: bytes,
    seconds: float,
    *,
    plan: bool,
    node: str | None,
) -> ValidationReport:
    """The report on a body that is a workflow, or an object holding one under `workflow`.

    Raises MalformedRequest, ValidatorRefused, PayloadTooLarge, BusDown.
    """
    place = Place(text.decode(), 1, 1)
    if isinstance(body, dict) and "workflow" in body and "nodes" not in body:
        parse_request(ValidateRequest, body)
        place = place_of(place.text, "workflow") or place
    report = await validation.ask(tenant, place, seconds, plan=plan, node=node)
    if report is None:
        raise ValidatorSilent
    return report


def refusal(report: ValidationReport) -> InvalidSpec:
    """The error an invalid spec ends an execute request with."""
    count = len(report.errors)
    errors = "1 error" if count == 1 else f"{count} errors"
    return InvalidSpec(f"The workflow has {errors}; nothing was run.", issues=report.errors)


def _report(data: bytes, place: Place) -> ValidationReport:
    try:
        answer = orjson.loads(data)
        if "status" in answer:
            problem = Problem.model_validate(answer)
            raise ValidatorRefused(problem.detail, issues=problem.errors)
        report = ValidationReport.model_validate(answer)
    except (ValidationError, ValueError, TypeError) as error:
        raise BusDown("The validator's answer cannot be read.") from error
    return report.model_copy(
        update={
            "errors": tuple(_shifted(issue, place) for issue in report.errors),
            "warnings": tuple(_shifted(issue, place) for issue in report.warnings),
        }
    )


def _shifted(issue: Issue, place: Place) -> Issue:
    """The validator saw the workflow's text alone; the caller sees the whole body."""
    if issue.line is None or (place.line == 1 and place.column == 1):
        return issue
    column = issue.column
    if column is not None and issue.line == 1:
        column += place.column - 1
    return issue.model_copy(update={"line": issue.line + place.line - 1, "column": column})


def _name(tenant: str, workflow: dict[str, Any]) -> bytes:
    content = orjson.dumps(workflow, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(tenant.encode() + b"\0" + content).digest()
