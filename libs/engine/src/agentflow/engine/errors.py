"""Errors of the engine.

BadInput
├── BadCondition     a CEL expression or router rule cannot be used     400
├── BadTemplate      a template cannot be used                          400
├── BadPattern       a regular expression cannot be used                400
└── BadSchema        a JSON Schema cannot be used                       400
AgentflowError
├── ConditionError   a good expression met a state it cannot judge      422
└── WorkflowStopped  a run in one process did not complete              422
NodeFailed
└── TemplateFailed   a good template met a state it cannot render
"""

from agentflow.contracts.errors import AgentflowError, BadInput, NodeFailed
from agentflow.contracts.problem import NodeError
from agentflow.contracts.state import JsonObject
from agentflow.contracts.status import ExecutionStatus


class BadText(BadInput):
    """A text inside a spec (expression, template, pattern) cannot be used.

    `line` and `column` are 1-based inside that text, None where not known.
    """

    def __init__(
        self,
        message: str = "",
        *,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column


class BadCondition(BadText):
    """The condition is not a usable CEL expression."""

    code = "bad_condition"


class BadTemplate(BadText):
    """The template cannot be used."""

    code = "bad_template"


class BadPattern(BadText):
    """The regular expression cannot be used."""

    code = "bad_regex"


class BadSchema(BadInput):
    """The JSON Schema cannot be used."""

    code = "bad_schema"


class ConditionError(AgentflowError):
    """A condition could not be decided on the state it was given.

    `expression` is the text of the condition, `reason` what went wrong.
    """

    code = "condition_failed"
    status = 422

    def __init__(self, expression: str, reason: str, *, hint: str | None = None) -> None:
        shown = expression if len(expression) <= 200 else f"{expression[:200]}…"
        super().__init__(f"The condition {shown!r} could not be decided: {reason}", hint=hint)
        self.expression = expression
        self.reason = reason


class TemplateFailed(NodeFailed):
    """A template could not be rendered; `error_code` is template_failed or payload_too_large."""

    def __init__(self, message: str, *, code: str = "template_failed") -> None:
        super().__init__(code, message)


class WorkflowStopped(AgentflowError):
    """The workflow did not complete.

    `outcome` is its status, `error` what ended it, `final_state` the partial state.
    """

    code = "workflow_stopped"
    status = 422

    def __init__(self, outcome: ExecutionStatus, error: NodeError, final_state: JsonObject) -> None:
        super().__init__(error.message, hint=error.hint)
        self.outcome = outcome
        self.error = error
        self.final_state = final_state
