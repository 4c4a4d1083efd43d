"""The `agentflow` command: assembles the commands and turns errors into exit codes.

Importing this must stay cheap: `agentflow --help` answers at once. Every command imports
what it needs inside its function.
"""

import sys
from collections.abc import Callable
from typing import Any

import typer

from agentflow.cli.commands import bus, db, demo, dev, doctor, executions, keys, run, serve, specs

HELP = "Run JSON workflows as event-driven microservices over NATS JetStream."
INTERRUPTED = 130


def build_app() -> typer.Typer:
    """The command tree."""
    app = typer.Typer(
        name="agentflow",
        help=HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    commands: list[tuple[str, Callable[..., Any]]] = [
        ("dev", dev.dev),
        ("demo", demo.demo),
        ("run", run.run),
        ("validate", specs.validate),
        ("plan", specs.plan),
        ("graph", specs.graph),
        ("doctor", doctor.doctor),
        ("serve", serve.serve),
    ]
    for name, function in commands:
        app.command(name)(function)
    app.add_typer(executions.build(), name="executions")
    app.add_typer(bus.build(), name="bus")
    app.add_typer(db.build(), name="db")
    app.add_typer(keys.build(), name="keys")
    return app


def main() -> None:
    """Console script. Errors of ours become one clear message and their exit code."""
    try:
        build_app()()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nobody is left to tell.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        code = _report(error)
        if code is None:
            raise
        sys.exit(code)


def _report(error: Exception) -> int | None:
    """Tell an error of ours and give its exit code; None for one that is a bug."""
    from agentflow.cli.output import Output
    from agentflow.contracts.errors import AgentflowError, BadInput

    if not isinstance(error, AgentflowError):
        return None
    output = Output()
    output.say(f"agentflow: {error.message}", style="bold red")
    for issue in getattr(error, "issues", ()):
        output.say(f"  {issue.code} {issue.pointer} {issue.message}")
    if error.hint:
        output.say(f"  {error.hint}")
    if isinstance(error, BadInput):
        return 2
    return int(getattr(error, "exit_code", 1))


if __name__ == "__main__":
    main()
