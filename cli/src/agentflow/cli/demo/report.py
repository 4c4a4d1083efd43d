"""What the demo prints: one table per job, one line per pattern."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from agentflow.cli.demo.crowd import Crowd, Outcome
from agentflow.cli.demo.manifest import Job
from agentflow.cli.tables import milliseconds, plain_table

SAMPLE_ROWS = 6
TOP_VALUES = 8
LONGEST_CELL = 44


def summary_lines(crowd: Crowd) -> list[str]:
    """Throughput and latency of a crowd."""
    times = sorted(outcome.milliseconds for outcome in crowd.outcomes)
    completed = sum(outcome.completed for outcome in crowd.outcomes)
    median, slow = (milliseconds(_quantile(times, share)) for share in (0.5, 0.95))
    rate = f"{crowd.per_second:.0f} executions per second"
    return [
        f"{completed} of {len(crowd.outcomes)} completed in {crowd.seconds:.2f} s: {rate}",
        f"as their caller saw it, {median} each (median), {slow} (95 %)",
    ]


def sample_table(job: Job, crowd: Crowd) -> Table:
    """The first few results, with the columns the job names."""
    table = plain_table(*(column.replace("_", " ").upper() for column in job.columns))
    for outcome in crowd.outcomes[:SAMPLE_ROWS]:
        table.add_row(*(_cell(field(outcome, column)) for column in job.columns))
    return table


def count_table(job: Job, crowd: Crowd) -> Table:
    """How often each value came, per field."""
    table = plain_table("FIELD", "VALUES")
    for name in job.count_by:
        counts = Counter(_cell(field(outcome, name)) for outcome in crowd.outcomes)
        shown = counts.most_common(TOP_VALUES)
        rest = sum(counts.values()) - sum(number for _, number in shown)
        parts = [f"{value} {number}" for value, number in shown]
        if rest:
            parts.append(f"other {rest}")
        table.add_row(name, " · ".join(parts))
    return table


def accuracy_table(job: Job, crowd: Crowd) -> Table:
    """Share of outputs that are as expected, per field, and per part of the data."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in crowd.outcomes:
        name = str(outcome.input.document.get(job.accuracy_by or "", "all"))
        groups.setdefault(name, []).append(outcome)
    table = plain_table("AS EXPECTED", *(f">{name}" for name in groups))
    for name in job.accuracy:
        table.add_row(name, *(f"{_share(name, part):.1%}" for part in groups.values()))
    return table


def failures(crowd: Crowd, limit: int = 5) -> Iterable[str]:
    """The first few executions that did not complete, with why."""
    failed = [outcome for outcome in crowd.outcomes if not outcome.completed]
    for outcome in failed[:limit]:
        error = outcome.error or {}
        yield f"{error.get('code', outcome.status)}: {error.get('message', '')}"


def patterns_table(rows: Iterable[tuple[str, str, Outcome, bool]]) -> Table:
    """One line per example: name, pattern, time, whether the final state is the expected one."""
    table = plain_table("EXAMPLE", "PATTERN", ">TOOK", "FINAL STATE")
    for name, pattern, outcome, as_expected in rows:
        verdict = ("as expected", "green") if as_expected else ("DIFFERS", "bold red")
        table.add_row(name, pattern, milliseconds(outcome.milliseconds), Text(*verdict))
    return table


def field(outcome: Outcome, name: str) -> Any:
    """A field of final_output, also inside its `result`; else of the initial state."""
    output = outcome.output
    inner = output.get("result")
    for place in (output, inner, outcome.input.initial_state):
        if isinstance(place, dict) and name in place:
            return place[name]
    return None


def _share(name: str, outcomes: list[Outcome]) -> float:
    right = sum(1 for o in outcomes if field(o, name) == o.input.expect.get(name))
    return right / len(outcomes)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
