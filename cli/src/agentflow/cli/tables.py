"""Tables for people. Columns that matter least give way first on a narrow screen."""

from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

STYLES = {
    "COMPLETED": "green",
    "RUNNING": "cyan",
    "QUEUED": "blue",
    "CANCELLING": "yellow",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "CANCELLED": "yellow",
    "SKIPPED": "dim",
    "PENDING": "dim",
}


def plain_table(*headers: str, title: str | None = None) -> Table:
    """A table without lines; a header that starts with `>` is right-aligned."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        right = header.startswith(">")
        table.add_column(header.lstrip(">"), justify="right" if right else "left", no_wrap=right)
    return table


def status_text(status: str) -> Text:
    return Text(status, style=STYLES.get(status, ""))


def executions_table(items: Iterable[dict[str, Any]]) -> Table:
    """One line per execution."""
    table = plain_table("EXECUTION", "STATUS", "WORKFLOW", ">DURATION", ">TOKENS", "STARTED")
    table.columns[0].no_wrap = True
    for item in items:
        table.add_row(
            str(item.get("execution_id") or item.get("id")),
            status_text(str(item.get("status"))),
            str(item.get("workflow_name") or ""),
            milliseconds(item.get("duration_ms")),
            str(item.get("tokens_used") or ""),
            str(item.get("started_at") or item.get("created_at") or "")[:19].replace("T", " "),
        )
    return table


def milliseconds(value: float | None) -> str:
    """4 ms, 1.25 s, 3 min 20 s; nothing for None."""
    if value is None:
        return ""
    if value < 1000:
        return f"{value:.0f} ms"
    if value < 60_000:
        return f"{value / 1000:.2f} s"
    minutes, seconds = divmod(int(value / 1000), 60)
    return f"{minutes} min {seconds} s"


def dollars(value: float | None) -> str:
    """Nothing for an unknown cost: unknown is not free."""
    if value is None:
        return ""
    return f"${value:.4f}" if value else "$0"
