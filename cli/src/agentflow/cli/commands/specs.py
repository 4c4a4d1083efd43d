"""`agentflow validate | plan | graph`: what can be said about a spec without running it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agentflow.cli.options import AsJson

SPEC = typer.Argument(help="a workflow spec; - reads stdin")
INVALID = 2


class GraphFormat(StrEnum):
    """What `graph` can draw."""

    mermaid = "mermaid"
    svg = "svg"


def validate(
    spec: Annotated[str, SPEC],
    node: Annotated[str | None, typer.Option(help="check this node alone")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a spec: every error and warning at once, with line, caret, code and hint."""
    from agentflow.cli.inputs import read_unparsed
    from agentflow.cli.output import Output
    from agentflow.cli.spec_check import check, say_report

    output = Output()
    text = read_unparsed(spec)
    report = check(text, node=node)
    say_report(text, report, output)
    if as_json:
        output.result(report.model_dump(mode="json", exclude_none=True))
    if not report.valid:
        raise typer.Exit(INVALID)


def plan(spec: Annotated[str, SPEC], as_json: AsJson = False) -> None:
    """Print the plan: stages, critical path, parallel edges."""
    from agentflow.cli.inputs import read_spec
    from agentflow.cli.output import Output
    from agentflow.cli.plan_text import plan_table
    from agentflow.cli.spec_check import require_valid
    from agentflow.engine.plan import compile_plan

    output = Output()
    view = compile_plan(require_valid(read_spec(spec), output)).view()
    if as_json:
        output.result(view.model_dump(mode="json"))
    else:
        output.table(plan_table(view))


def graph(
    spec: Annotated[str, SPEC],
    style: Annotated[GraphFormat, typer.Option("--format", "-f")] = GraphFormat.mermaid,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="a file; else stdout")] = None,
) -> None:
    """Draw a spec as Mermaid text or as SVG, offline."""
    from agentflow.cli.drawings import draw
    from agentflow.cli.inputs import read_spec
    from agentflow.cli.output import Output
    from agentflow.cli.spec_check import require_valid

    output = Output()
    drawing = draw(require_valid(read_spec(spec), output), style.value)
    if out is None:
        typer.echo(drawing)
    else:
        out.write_text(drawing)
        output.say(f"Wrote {out}")
