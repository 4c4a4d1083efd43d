"""The doorway: a question comes in, a report or a problem goes out, the delivery is settled.

Nobody's payload can make a loop here: what cannot be read is told and put aside at once, and
so is what our own code stumbles over.
"""

import structlog
from nats.errors import Error as NatsError

from agentflow.bus.bus import Bus
from agentflow.bus.commands import peek_reply, read_command, reply_subjects
from agentflow.bus.delivery import Delivery
from agentflow.contracts.commands import ValidateWorkflow
from agentflow.contracts.errors import AgentflowError, BadInput, PayloadTooLarge
from agentflow.contracts.replies import ValidationReport
from agentflow.telemetry.tracing import span
from agentflow.validator.measures import Measures
from agentflow.validator.reports import Reports

_FEW = 50


class Handlers:
    """What the validator hears."""

    def __init__(self, bus: Bus, reports: Reports, measures: Measures) -> None:
        self._bus = bus
        self._reports = reports
        self._measures = measures
        self._log = structlog.get_logger("agentflow.validator")

    async def on_validate(self, delivery: Delivery) -> None:
        """Answer one question on the subjects it names."""
        try:
            command = read_command(delivery, ValidateWorkflow, self._reports.json_limits)
        except (BadInput, PayloadTooLarge) as error:
            await self._refuse(delivery, error)
            return
        subjects = reply_subjects(delivery, command.reply_to)
        if subjects:
            with self._measures.seconds.time(), span("validate", delivery.headers):
                report = await self._report(delivery, command)
            if report is None:
                return
            for subject in subjects:
                await self._tell(subject, report)
        await delivery.ack()

    async def _report(
        self, delivery: Delivery, command: ValidateWorkflow
    ) -> ValidationReport | None:
        """The report; None when our own code failed, which has then been told."""
        try:
            report = await self._reports.on(command)
        except (AgentflowError, NatsError, OSError):
            raise  # the bus is away: handed back and asked again
        except Exception:  # noqa: BLE001 - a bug of ours must not become a hot loop
            self._log.exception("validator.failed", tenant=command.tenant)
            await self._refuse(delivery, AgentflowError("The check itself failed; it is logged."))
            return None
        self._measures.reports.labels("valid" if report.valid else "invalid").inc()
        return report

    async def _refuse(self, delivery: Delivery, error: AgentflowError) -> None:
        self._measures.reports.labels("refused").inc()
        problem = error.to_problem().model_dump_json(exclude_none=True).encode()
        for subject in peek_reply(delivery):
            await self._bus.reply(subject, problem)
        await delivery.dead_letter(error.code, error.message)

    async def _tell(self, subject: str, report: ValidationReport) -> None:
        try:
            await self._bus.reply(subject, report.encode())
        except PayloadTooLarge:
            few = {"errors": report.errors[:_FEW], "warnings": report.warnings[:_FEW], "plan": None}
            await self._bus.reply(subject, report.model_copy(update=few).encode())
