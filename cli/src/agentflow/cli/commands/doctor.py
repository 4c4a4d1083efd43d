"""`agentflow doctor`: is everything here that AgentFlow needs, and does it answer?"""

import typer

from agentflow.cli.options import AsJson


def doctor(
    as_json: AsJson = False,
) -> None:
    """Check this machine and the running stack; exit 1 if something is wrong.

    Says for each finding what to do about it. Changes nothing.
    """
    from dataclasses import asdict

    from agentflow.cli.asyncs import run_async
    from agentflow.cli.checkup import examine
    from agentflow.cli.output import Output
    from agentflow.cli.tables import plain_table

    output = Output()
    findings = run_async(examine())
    if as_json:
        output.result([asdict(finding) for finding in findings])
    else:
        table = plain_table("", "WHAT", "FOUND", "WHAT TO DO")
        for finding in findings:
            table.add_row(*finding.cells())
        table.columns[2].overflow = "fold"
        output.table(table)
    if any(finding.state == "bad" for finding in findings):
        raise typer.Exit(1)
