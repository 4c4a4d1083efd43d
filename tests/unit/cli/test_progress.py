"""The fold of events a person watches: same events, same picture, first ending counts."""

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Group, RenderableType

from agentflow.cli.live_tree import LiveTree, headline, line_of, tree
from agentflow.cli.output import Output
from agentflow.cli.progress import Progress
from agentflow.contracts.status import NodeStatus

SPEC = {
    "start_node": "ask",
    "nodes": [{"id": "answer", "type": "llm"}, {"id": "ask", "type": "input"}],
    "edges": [{"from": "ask", "to": "answer"}],
}
T0, T1, T2 = (f"2026-11-21T10:00:0{second}+00:00" for second in (0, 1, 3))


def node(name: str, **fields: object) -> tuple[str, dict[str, object]]:
    return name, {"node_id": "answer", "node_type": "llm", "occurred_at": T2, **fields}


def heard(*events: tuple[str, dict[str, object]]) -> Progress:
    progress = Progress()
    progress.expect(SPEC)
    for name, event in events:
        progress.hear(name, event)
    return progress


def completed(**fields: object) -> tuple[str, dict[str, object]]:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "cost": 0.25}
    return node("node.completed", attempt=1, dispatched_at=T0, started_at=T1, usage=usage, **fields)


def test_a_completed_node_tells_wait_duration_tokens_and_cost() -> None:
    row = heard(completed()).rows["answer"]
    assert row.status is NodeStatus.COMPLETED
    assert (row.queue_wait_ms, row.duration_ms, row.tokens, row.cost) == (1000, 2000, 15, 0.25)


def test_nodes_stand_in_the_order_of_the_plan_before_anything_happened() -> None:
    rows = heard().rows
    assert [(row.node_id, row.rank) for row in rows.values()] == [("ask", 0), ("answer", 1)]
    assert {row.status for row in rows.values()} == {NodeStatus.PENDING}


def test_a_broken_spec_gives_no_rows_and_no_error() -> None:
    progress = Progress()
    broken: list[object] = [None, [], {"nodes": 1}, {**SPEC, "start_node": "nowhere"}]
    for document in broken:
        progress.expect(document)
    assert progress.rows == {}


def test_a_thousand_nodes_show_what_runs_and_count_the_rest() -> None:
    progress = Progress()
    for number in range(1000):
        event = {"node_id": f"n{number}", "occurred_at": T2}
        progress.hear("node.started" if number == 700 else "node.completed", event)
    text = printed(tree(progress, most=10), 100)
    assert "n700" in text
    assert "… 990 more; in all 999 COMPLETED, 1 RUNNING" in text
    assert len(text.splitlines()) == 12


def test_a_retry_says_why_and_when_again() -> None:
    error = {"code": "rate_limited", "message": "slow down"}
    row = heard(node("node.retrying", attempt=1, error=error, delay_seconds=0.5)).rows["answer"]
    assert row.status is NodeStatus.QUEUED
    assert row.note == "rate_limited: slow down, again in 0.5 s"


def test_the_first_ending_of_a_node_counts() -> None:
    late = node("node.failed", error={"code": "timeout", "message": ""})
    progress = heard(completed(), late, completed())
    assert progress.rows["answer"].status is NodeStatus.COMPLETED
    assert progress.tokens == 15


def test_the_first_ending_of_the_execution_counts() -> None:
    fields: dict[str, object] = {"duration_ms": 12.0, "tokens_used": 3, "cost": 0.1}
    first = ("execution.completed", fields)
    progress = heard(first, ("execution.failed", {"duration_ms": 99.0}))
    assert (progress.status, progress.duration_ms, progress.tokens) == ("COMPLETED", 12.0, 3)


def test_what_still_ran_at_the_end_counts_as_cancelled() -> None:
    progress = heard(node("node.started"), ("execution.cancelled", {"duration_ms": 5.0}))
    assert progress.rows["answer"].status is NodeStatus.CANCELLED
    assert progress.rows["ask"].status is NodeStatus.PENDING


KEYS = ["attempt", "usage", "error", "node_id", "delay_seconds", "warnings", "duration_ms", "cost"]
NAMES = ["node.completed", "node.retrying", "node.started", "execution.completed", "node.new"]
STRANGE = (
    st.none()
    | st.integers()
    | st.floats()
    | st.text()
    | st.lists(st.text())
    | st.just({"cost": "?"})
)


@given(st.sampled_from(NAMES) | st.text(), st.dictionaries(st.sampled_from(KEYS), STRANGE))
def test_no_event_of_a_later_release_breaks_the_picture(
    name: str, event: dict[str, object]
) -> None:
    progress = heard((name, event), (f"node.{name}", event))
    tree(progress)
    headline(progress)


def printed(thing: RenderableType, width: int) -> str:
    stream = io.StringIO()
    output = Output(stderr=stream)
    output.console.width = width
    output.console.print(thing)
    return stream.getvalue()


def shown(progress: Progress, width: int) -> str:
    return printed(Group(headline(progress), tree(progress, narrow=width < 90)), width)


def test_no_line_is_wider_than_the_screen() -> None:
    progress = heard(completed(warnings=["a rather long warning " * 10]))
    for width in (40, 60, 80, 120):
        assert max(len(line) for line in shown(progress, width).splitlines()) <= width


def test_a_narrow_screen_keeps_name_state_and_time() -> None:
    text = shown(heard(completed()), 70)
    assert "answer" in text
    assert "COMPLETED" in text
    assert "2.00 s" in text
    assert "COST" not in text


def test_into_a_pipe_each_change_is_one_line() -> None:
    stream = io.StringIO()
    progress = Progress()
    progress.expect(SPEC)
    with LiveTree(progress, Output(stderr=stream)) as live:
        for name, event in (node("node.started"), completed(), completed()):
            progress.hear(name, event)
            live.update()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "\x1b" not in stream.getvalue()
    assert lines[1] == line_of(progress.rows["answer"])
    assert "15 tokens $0.2500" in lines[1]
