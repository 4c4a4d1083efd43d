"""`run --watch`: the nodes of one execution as a tree that changes while it runs.

On a screen it is redrawn in place; into a pipe each change becomes one line, so that a log
stays readable.
"""

from collections import Counter
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from agentflow.cli.output import Output
from agentflow.cli.progress import NodeRow, Progress
from agentflow.cli.tables import STYLES, dollars, milliseconds, plain_table
from agentflow.contracts.status import NodeStatus

REFRESH_PER_SECOND = 10
NARROW_COLUMNS = 90
MARKS = {
    NodeStatus.PENDING: "·",
    NodeStatus.QUEUED: "○",
    NodeStatus.RUNNING: "●",
    NodeStatus.COMPLETED: "✔",
    NodeStatus.FAILED: "✘",
    NodeStatus.TIMED_OUT: "✘",
    NodeStatus.SKIPPED: "-",
    NodeStatus.CANCELLED: "✘",
}
DEEPEST_INDENT = 8
INTEREST = {
    NodeStatus.FAILED: 0,
    NodeStatus.TIMED_OUT: 0,
    NodeStatus.RUNNING: 1,
    NodeStatus.QUEUED: 2,
    NodeStatus.CANCELLED: 3,
    NodeStatus.PENDING: 4,
    NodeStatus.COMPLETED: 5,
    NodeStatus.SKIPPED: 5,
}


class LiveTree:
    """Shows a Progress; call `update` after each event."""

    def __init__(self, progress: Progress, output: Output) -> None:
        self._progress = progress
        self._output = output
        self._said: set[tuple[str, NodeStatus, int]] = set()
        self._live: Live | None = None
        if output.console.is_terminal and not output.console.is_dumb_terminal:
            self._live = Live(
                get_renderable=self._render,
                console=output.console,
                refresh_per_second=REFRESH_PER_SECOND,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def update(self) -> None:
        """Show what changed; on a screen the next refresh does it."""
        if self._live is not None:
            return
        for row in self._progress.rows.values():
            key = (row.node_id, row.status, row.attempt)
            if row.status is not NodeStatus.PENDING and key not in self._said:
                self._said.add(key)
                self._output.say(line_of(row))

    def _render(self) -> Group:
        console = self._output.console
        narrow, most = console.width < NARROW_COLUMNS, max(5, console.height - 5)
        return Group(headline(self._progress), tree(self._progress, narrow=narrow, most=most))


def headline(progress: Progress) -> Text:
    """`triage  COMPLETED  12 ms  34 tokens $0.0001  exec_…`: what matters most comes first."""
    text = Text(overflow="ellipsis", no_wrap=True)
    text.append(progress.workflow_name or "workflow", style="bold")
    text.append(f"  {progress.status}", style=STYLES.get(progress.status, ""))
    text.append(f"  {milliseconds(progress.duration_ms or _since(progress.started_at))}")
    if progress.tokens:
        text.append(f"  {progress.tokens} tokens {dollars(progress.cost)}")
    text.append(f"  {progress.execution_id}", style="dim")
    return text


def tree(progress: Progress, *, narrow: bool = False, most: int = 1000) -> Table:
    """One line per node in plan order, indented by its distance from the start.

    More than `most` lines do not fit: what runs or failed is shown before what waits or is done.
    """
    headers = ["NODE", "STATE", ">TRY", ">WAITED", ">TOOK"]
    if not narrow:
        headers += [">TOKENS", ">COST", "NOTE"]
    table = plain_table(*headers)
    for column in table.columns:
        column.no_wrap = True
        column.overflow = "ellipsis"
    shown = _most_telling(list(progress.rows.values()), most)
    for row in shown:
        table.add_row(*_cells(row, narrow=narrow))
    if len(shown) < len(progress.rows):
        table.add_row(Text(_rest(progress, len(shown)), style="dim"))
    return table


def _cells(row: NodeRow, *, narrow: bool) -> list[str | Text]:
    name = Text("  " * min(row.rank, DEEPEST_INDENT))
    name.append(row.node_id).append(f" {row.node_type}", style="dim")
    cells: list[str | Text] = [
        name,
        Text(f"{MARKS[row.status]} {row.status}", style=STYLES.get(row.status, "")),
        str(row.attempt or ""),
        milliseconds(row.queue_wait_ms),
        milliseconds(_took(row)),
    ]
    if not narrow:
        tokens = "" if row.tokens is None else str(row.tokens)
        cells += [tokens, dollars(row.cost), Text(row.note, style="dim")]
    return cells


def _most_telling(rows: list[NodeRow], most: int) -> list[NodeRow]:
    if len(rows) <= most:
        return rows
    ordered = sorted(range(len(rows)), key=lambda place: (INTEREST[rows[place].status], place))
    return [rows[place] for place in sorted(ordered[:most])]


def _rest(progress: Progress, shown: int) -> str:
    counts = Counter(str(row.status) for row in progress.rows.values())
    parts = ", ".join(f"{number} {status}" for status, number in counts.most_common())
    return f"… {len(progress.rows) - shown} more; in all {parts}"


def line_of(row: NodeRow) -> str:
    """One change as one line, for a pipe."""
    parts = [f"{MARKS[row.status]} {row.node_id}", str(row.status)]
    if row.attempt > 1:
        parts.append(f"attempt {row.attempt}")
    if row.queue_wait_ms is not None:
        parts.append(f"waited {milliseconds(row.queue_wait_ms)}")
    if row.duration_ms is not None:
        parts.append(f"took {milliseconds(row.duration_ms)}")
    if row.tokens is not None:
        parts.append(f"{row.tokens} tokens {dollars(row.cost)}".rstrip())
    if row.note:
        parts.append(row.note)
    return "  ".join(parts)


def _took(row: NodeRow) -> float | None:
    if row.duration_ms is not None or row.status is not NodeStatus.RUNNING:
        return row.duration_ms
    return _since(row.started_at)


def _since(start: datetime | None) -> float | None:
    if start is None:
        return None
    return max(0.0, (datetime.now(UTC) - start).total_seconds() * 1000)
