"""`agentflow dev`: everything on this machine, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer


def dev(
    split: Annotated[bool, typer.Option("--split", help="one process per service")] = False,
    executors: Annotated[int, typer.Option(min=1, max=64)] = 1,
    workers: Annotated[int, typer.Option(min=1, max=64)] = 1,
    port: Annotated[int, typer.Option(help="of the gateway; another if it is taken")] = 8000,
    nats_port: Annotated[int, typer.Option(help="another if it is taken")] = 4222,
    valkey_port: Annotated[int, typer.Option(help="another if it is taken")] = 6379,
    durability: Annotated[
        str, typer.Option(help="default, or fsync: survive a power cut, at a quarter of the speed")
    ] = "default",
    database_url: Annotated[
        str | None, typer.Option(help="another database than ./.agentflow/agentflow.db")
    ] = None,
    directory: Annotated[Path, typer.Option(help="where .agentflow is kept")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="print dev.json once it runs")] = False,
) -> None:
    """Start NATS, Valkey, SQLite and all six services; Ctrl-C stops them cleanly.

    Data is kept in ./.agentflow. The addresses and a development key are printed and
    written to ./.agentflow/dev.json.
    """
    from agentflow.cli.output import Output

    # Said before the slow imports: a second of silence looks like a hang.
    Output().say("Starting NATS, Valkey, the database and six services …")
    from agentflow.cli.asyncs import run_async
    from agentflow.cli.embedded.options import StackOptions
    from agentflow.cli.session import serve_stack

    options = StackOptions(
        directory=directory,
        split=split,
        executors=executors,
        workers=workers,
        gateway_port=port,
        nats_port=nats_port,
        valkey_port=valkey_port,
        durability=durability,
        database_url=database_url,
    )
    raise typer.Exit(run_async(serve_stack(options, as_json=as_json)))
