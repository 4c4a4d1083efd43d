"""Reading an execute command: what to run, under which id, and whom to tell.

Without an execution id one is derived from where the command stands in the stream, so a
redelivery is the same execution.
"""

import uuid
from dataclasses import dataclass

from agentflow.bus.commands import BadCommand, read_command, reply_subjects
from agentflow.bus.delivery import Delivery
from agentflow.contracts.commands import ExecuteWorkflow
from agentflow.contracts.ids import ExecutionId
from agentflow.contracts.strict_json import JsonLimits

_SPACE = uuid.UUID("6f1c2f0e-5f0b-4c55-9a7e-0f6f1d6c9a11")


@dataclass(frozen=True)
class Order:
    """A command that can be carried out, and whom to tell."""

    command: ExecuteWorkflow
    execution_id: ExecutionId
    reply_to: tuple[str, ...]


def read_order(delivery: Delivery, limits: JsonLimits) -> Order:
    """The order in `delivery`; raises BadInput that says what and where."""
    command = read_command(delivery, ExecuteWorkflow, limits)
    if (command.workflow is None) == (command.workflow_id is None):
        raise BadCommand(
            "The command must hold exactly one of `workflow` (the spec) and `workflow_id`."
        )
    execution_id = command.execution_id or derived_id(delivery)
    return Order(command, execution_id, reply_subjects(delivery, command.reply_to))


def derived_id(delivery: Delivery) -> ExecutionId:
    """Always the same for the same stored command, also after the stream is made anew."""
    place = f"{delivery.subject}/{delivery.sequence}/{delivery.timestamp:.9f}"
    return ExecutionId(f"exec_{uuid.uuid5(_SPACE, place).hex}")
