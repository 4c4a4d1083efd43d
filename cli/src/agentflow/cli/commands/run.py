"""`agentflow run spec.json`: execute a workflow and print its result as JSON."""

from typing import Annotated

import typer

EXIT_CODES = {"COMPLETED": 0, "TIMED_OUT": 124}
FAILED = 1


def run(
    spec: Annotated[str, typer.Argument(help="a workflow spec; - reads stdin")],
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="key=text or key:=json; may be repeated"),
    ] = None,
    state: Annotated[str | None, typer.Option(help="a JSON file with the initial state")] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="show every node live")] = False,
    local: Annotated[
        bool, typer.Option("--local", help="in this process on LangGraph, without a bus")
    ] = False,
    timeout: Annotated[float | None, typer.Option(min=0.001, help="seconds")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="nothing but the result")] = False,
) -> None:
    """Execute a workflow and print its result as JSON on stdout.

    Uses the stack that `agentflow dev` runs here, or the one AGENTFLOW_URL names. Exit code:
    0 completed, 1 failed or cancelled, 2 invalid input, 3 no stack, 124 timed out.
    """
    from agentflow.cli.asyncs import run_async
    from agentflow.cli.endings import say_ending
    from agentflow.cli.inputs import read_spec, read_state
    from agentflow.cli.output import Output

    output = Output()
    text = read_spec(spec)
    initial = read_state(state, inputs or [])
    if local:
        from agentflow.cli.local_run import run_locally

        work = run_locally(text, initial, output, watch=watch, timeout=timeout)
    else:
        from agentflow.cli.dev_file import find_target
        from agentflow.cli.follow import run_on_stack

        target = find_target()
        work = run_on_stack(target, text, initial, output, watch=watch, timeout=timeout)
    result = run_async(work)
    if not as_json:
        say_ending(result, output)
    output.result(result.model_dump(mode="json", exclude_none=True))
    raise typer.Exit(EXIT_CODES.get(result.status, FAILED))
