"""Which attempt of a node counts, and what later ones are."""

from typing import Any

import pytest

from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.history.recorded import read_event
from agentflow.storage.attempts import Cutoff, fold_nodes
from agentflow.storage.views import NodeView
from tests.support.events import Story

RUNNING = Cutoff(ExecutionStatus.RUNNING)


def nodes(story: Story, cutoff: Cutoff = RUNNING) -> tuple[NodeView, ...]:
    """The story's node events, counted from 1 with all others, as rows and folded."""
    rows: list[dict[str, Any]] = []
    for sequence, event in enumerate(story.events, 1):
        recorded = read_event(event.subject(), event.encode(), sequence, 0.0)
        if "node_id" in recorded.row:
            rows.append(recorded.row)
    return fold_nodes(rows, cutoff)


def seen(node: NodeView) -> list[tuple[int, str, bool]]:
    return [(a.attempt, a.status.value, a.ignored) for a in node.attempts]


def test_the_first_completion_in_log_order_counts() -> None:
    (node,) = nodes(Story().done("a", 2, output="first").done("a", 1, output="second"))
    assert node.output == "first"
    assert seen(node) == [(2, "COMPLETED", False), (1, "COMPLETED", True)]


def test_a_failure_after_a_completion_is_ignored() -> None:
    (node,) = nodes(Story().done("a", 1).node_failed("a", 2))
    assert (node.status, node.error) == (NodeStatus.COMPLETED, None)


def test_a_completion_after_the_last_failure_is_ignored() -> None:
    (node,) = nodes(Story().node_failed("a", 1).done("a", 2))
    assert node.status is NodeStatus.FAILED
    assert node.output is None


def test_an_attempt_that_is_followed_by_another_is_no_outcome() -> None:
    (node,) = nodes(Story().retrying("a", 1).retrying("a", 2).done("a", 3))
    assert node.status is NodeStatus.COMPLETED
    assert seen(node) == [(1, "FAILED", False), (2, "FAILED", False), (3, "COMPLETED", False)]


def test_a_node_between_two_attempts_is_queued() -> None:
    (node,) = nodes(Story().retrying("a", 1))
    assert node.status is NodeStatus.QUEUED
    assert node.error is not None


def test_a_node_that_started_is_running_and_its_outcome_takes_that_place() -> None:
    (running,) = nodes(Story().node_started("a"))
    assert (running.status, running.ended_at, running.duration_ms) == ("RUNNING", None, None)
    (done,) = nodes(Story().node_started("a").done("a"))
    assert seen(done) == [(1, "COMPLETED", False)]


def test_a_start_that_arrives_after_its_outcome_adds_nothing() -> None:
    (node,) = nodes(Story().done("a").node_started("a"))
    assert seen(node) == [(1, "COMPLETED", False)]


def test_a_result_after_the_end_of_the_execution_is_ignored() -> None:
    story = Story().started().failed().done("a")
    (node,) = nodes(story, Cutoff(ExecutionStatus.FAILED, ended_seq=2))
    assert seen(node) == [(1, "COMPLETED", True)]
    assert node.status is NodeStatus.CANCELLED
    assert node.output is None


def test_without_the_cutoff_the_late_result_would_count() -> None:
    """Negative control."""
    (node,) = nodes(Story().started().failed().done("a"))
    assert node.output == "a says 1"


def test_a_result_between_cancel_and_end_is_ignored_only_if_the_cancel_won() -> None:
    story = Story().started().cancel_requested().done("a")
    lost = Cutoff(ExecutionStatus.COMPLETED, ended_seq=4, cancel_seq=2)
    won = Cutoff(ExecutionStatus.CANCELLED, ended_seq=4, cancel_seq=2)
    assert [node.status for node in nodes(story, lost)] == [NodeStatus.COMPLETED]
    assert [node.status for node in nodes(story, won)] == [NodeStatus.CANCELLED]


def test_a_node_cut_off_says_so_even_after_the_end() -> None:
    story = Story().started().node_started("a").cancelled().node_cancelled("a")
    (node,) = nodes(story, Cutoff(ExecutionStatus.CANCELLED, ended_seq=3))
    assert seen(node) == [(1, "CANCELLED", False)]


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "TIMED_OUT"])
def test_no_node_of_an_ended_execution_is_still_running(status: str) -> None:
    story = Story().started().node_started("a").retrying("b")
    found = nodes(story, Cutoff(ExecutionStatus(status), ended_seq=9))
    assert [node.status for node in found] == [NodeStatus.CANCELLED] * 2
