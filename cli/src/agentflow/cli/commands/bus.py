"""`agentflow bus apply | status | dlq`: the streams, and what could not be processed."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentflow.cli.options import AsJson, JsonAnyway

if TYPE_CHECKING:
    from agentflow.bus.topology import Finding

NATS_URL = typer.Option("--nats-url", help="instead of AGENTFLOW_NATS_URL or the running stack's")


def build() -> typer.Typer:
    """The command group."""
    group = typer.Typer(help="Streams, consumers and dead letters.", no_args_is_help=True)
    group.command("apply")(apply)
    group.command("status")(status)
    dlq = typer.Typer(help="What could not be processed.", no_args_is_help=True)
    dlq.command("list")(dlq_list)
    dlq.command("replay")(dlq_replay)
    group.add_typer(dlq, name="dlq")
    return group


def apply(
    nats_url: Annotated[str | None, NATS_URL] = None,
    as_json: AsJson = False,
) -> None:
    """Create missing streams and consumers, adjust differing ones."""
    from agentflow.bus import topology

    findings = _with_bus(nats_url, topology.apply)
    _print_findings(findings, as_json=as_json)


def status(
    nats_url: Annotated[str | None, NATS_URL] = None,
    as_json: AsJson = False,
) -> None:
    """Compare what is on the server with what should be; exit 1 if they differ."""
    from agentflow.bus import topology

    findings = _with_bus(nats_url, topology.status)
    _print_findings(findings, as_json=as_json)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def dlq_list(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    nats_url: Annotated[str | None, NATS_URL] = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, oldest first."""
    from agentflow.cli import dead_letters
    from agentflow.cli.output import Output

    letters = _with_bus(nats_url, lambda js, settings: dead_letters.read(js, settings, limit))
    output = Output()
    if as_json:
        output.result([letter.to_json() for letter in letters])
    else:
        output.table(dead_letters.table(letters))


def dlq_replay(
    sequence: Annotated[int, typer.Argument(min=1, help="as `dlq list` shows it")],
    nats_url: Annotated[str | None, NATS_URL] = None,
    _json: JsonAnyway = True,
) -> None:
    """Publish one dead letter again where it came from, and remove it."""
    from agentflow.cli import dead_letters
    from agentflow.cli.output import Output

    replayed = _with_bus(nats_url, lambda js, settings: dead_letters.replay(js, settings, sequence))
    Output().result(replayed)


def _with_bus(url: str | None, work: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
    from agentflow.cli.asyncs import run_async
    from agentflow.cli.bus_connection import on_bus

    return run_async(on_bus(url, work))


def _print_findings(findings: "list[Finding]", *, as_json: bool) -> None:
    from dataclasses import asdict

    from agentflow.cli.output import Output
    from agentflow.cli.tables import plain_table

    output = Output()
    if as_json:
        output.result([asdict(finding) for finding in findings])
        return
    table = plain_table("KIND", "NAME", "STATE", "DETAIL")
    for finding in findings:
        table.add_row(finding.kind, finding.name, finding.state, finding.detail)
    output.table(table)
