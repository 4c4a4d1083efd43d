"""`agentflow executions ls | show | tail | cancel`: what the running stack has done."""

from typing import Annotated, Any

import typer

from agentflow.cli.options import AsJson, JsonAnyway


def build() -> typer.Typer:
    """The command group."""
    group = typer.Typer(help="List, show, follow and cancel executions.", no_args_is_help=True)
    group.command("ls")(ls)
    group.command("show")(show)
    group.command("tail")(tail)
    group.command("cancel")(cancel)
    return group


def ls(
    status: Annotated[str | None, typer.Option(help="e.g. RUNNING or FAILED")] = None,
    tag: Annotated[str | None, typer.Option()] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """List executions, newest first."""
    from agentflow.cli.output import Output
    from agentflow.cli.tables import executions_table

    page = _ask("get", "/executions", status=status, tag=tag, limit=limit)
    output = Output()
    if as_json:
        output.result(page)
    else:
        output.table(executions_table(page.get("items", [])))


def show(execution_id: str, _json: JsonAnyway = True) -> None:
    """Print one execution with every node and every attempt, as JSON."""
    from agentflow.cli.output import Output

    Output().result(_ask("get", f"/executions/{execution_id}"))


def tail(
    execution_id: str,
    as_json: AsJson = False,
) -> None:
    """Follow the events of one execution from the first to the last."""
    from agentflow.cli.asyncs import run_async
    from agentflow.cli.follow import tail_events
    from agentflow.cli.output import Output

    run_async(tail_events(execution_id, Output(), as_json=as_json))


def cancel(execution_id: str, _json: JsonAnyway = True) -> None:
    """Cancel an execution and print its state."""
    from agentflow.cli.output import Output

    Output().result(_ask("post", f"/executions/{execution_id}/cancel"))


def _ask(method: str, path: str, **params: Any) -> Any:
    from agentflow.cli.asyncs import run_async
    from agentflow.cli.client import Gateway
    from agentflow.cli.dev_file import find_target

    async def ask() -> Any:
        async with Gateway(find_target()) as gateway:
            if method == "get":
                return await gateway.get(path, **params)
            return await gateway.post(path, **params)

    return run_async(ask())
