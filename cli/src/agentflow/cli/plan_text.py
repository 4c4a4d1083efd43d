"""The plan of a workflow as a table: what runs beside what, and the chain that decides."""

from rich.table import Table
from rich.text import Text

from agentflow.cli.tables import plain_table
from agentflow.contracts.replies import PlanView

MAX_STAGES_SHOWN = 200


def plan_table(view: PlanView) -> Table:
    """One line per stage; nodes on the critical path are marked."""
    critical = set(view.critical_path)
    table = plain_table(">STAGE", "NODES (* on the critical path)")
    for number, stage in enumerate(view.stages[:MAX_STAGES_SHOWN], 1):
        cell = Text("  ").join(_node(node_id, node_id in critical) for node_id in stage)
        table.add_row(str(number), cell)
    if len(view.stages) > MAX_STAGES_SHOWN:
        table.add_row("…", f"{len(view.stages) - MAX_STAGES_SHOWN} more; use --json")
    table.add_row("", "")
    table.add_row("", f"critical path: {' → '.join(view.critical_path)}")
    if view.parallel_edges:
        pairs = ", ".join(f"{source} → {target}" for source, target in view.parallel_edges)
        table.add_row("", f"parallel edges: {pairs}")
    table.add_row("", Text(f"definition {view.definition_hash}", style="dim"))
    return table


def _node(node_id: str, critical: bool) -> Text:
    return Text(f"{node_id}*", style="bold") if critical else Text(node_id)
