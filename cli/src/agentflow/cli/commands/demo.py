"""`agentflow demo`: see it work on real input, in one command."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    examples: Annotated[
        Path | None, typer.Option(help="another examples folder with a manifest.json")
    ] = None,
    split: Annotated[bool, typer.Option("--split", help="one process per service")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print figures as JSON")] = False,
) -> None:
    """Start the whole stack in a temporary directory, run the examples, stop.

    Exit code 0 when every execution ended as it should.
    """
    import time

    from agentflow.cli.output import Output

    started = time.perf_counter()
    # Said before the slow imports: a second of silence looks like a hang.
    Output().say("Preparing the data and starting NATS, Valkey, SQLite and six services …")
    from agentflow.cli.asyncs import run_async
    from agentflow.cli.demo.show import show

    work = show(examples, split=split, as_json=as_json, started=started)
    raise typer.Exit(run_async(work))
