"""What can go wrong at the command line, each with the exit code scripts rely on.

0 ok · 1 the execution failed · 2 invalid input · 3 unreachable · 124 timed out

AgentflowError
└── CliError              1
    ├── InvalidInput      2   a file, an option or a spec cannot be used
    ├── Unreachable       3   no running stack, or it does not answer
    ├── ExecutionTimedOut 124 the execution's deadline passed
    └── StackTrouble      1   the embedded stack could not start or lost a part
"""

from typing import ClassVar

from agentflow.contracts.errors import AgentflowError


class CliError(AgentflowError):
    """The command could not do what was asked."""

    code = "cli_error"
    exit_code: ClassVar[int] = 1


class InvalidInput(CliError):
    """What was given cannot be used."""

    code = "invalid_input"
    exit_code = 2


class Unreachable(CliError):
    """Nothing answers there."""

    code = "unreachable"
    exit_code = 3


class ExecutionTimedOut(CliError):
    """The deadline of the execution passed."""

    code = "timed_out"
    exit_code = 124


class StackTrouble(CliError):
    """The embedded stack could not start."""

    code = "stack_trouble"
