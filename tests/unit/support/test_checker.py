"""The checker finds each kind of loss and doubling: its own negative controls."""

from collections.abc import Callable
from typing import Any

import pytest

from agentflow.contracts.events import ExecutionCompleted, ExecutionStarted, NodeCompleted
from tests.support.bus_rig import NOW
from tests.support.checker import Found, violations

KEY = ("acme", "e")
COMMON: dict[str, Any] = {"tenant": "acme", "execution_id": "e", "occurred_at": NOW}


def result(node_id: str, output: str, tokens: int = 3) -> NodeCompleted:
    return NodeCompleted(
        **COMMON,
        node_id=node_id,
        node_type="llm",
        output=output,
        writes={"tokens_used": tokens},
    )


def right() -> Found:
    """Two nodes, one of them told twice: only its first result counted."""
    found = Found()
    found.log[KEY] = [
        ExecutionStarted(
            **COMMON,
            executor_id="x",
            workflow_name="w",
            definition_hash="h",
            node_count=2,
            initial_state={},
            deadline=NOW,
        ),
        result("a", "first"),
        result("a", "second", 50),
        result("b", "only"),
        ExecutionCompleted(
            **COMMON,
            final_state={"outputs": {"a": "first", "b": "only"}, "tokens_used": 6},
            duration_ms=1,
        ),
    ]
    found.sequences = [1, 2, 3, 4, 5]
    found.rows = [1, 2, 3, 4, 5]
    found.statuses = {KEY: "COMPLETED"}
    found.left = {"COMMANDS": 0, "TASKS": 0}
    found.pending = {"EVENTS/history": (0, 0)}
    return found


def test_a_right_ending_has_no_violations() -> None:
    assert violations(right(), {KEY}, ("a", "b")) == []


def _second_counted(found: Found) -> None:
    end = found.log[KEY][-1]
    assert isinstance(end, ExecutionCompleted)
    outputs = {"outputs": {"a": "second", "b": "only"}}
    found.log[KEY][-1] = end.model_copy(update={"final_state": end.final_state | outputs})


def _counted_twice(found: Found) -> None:
    end = found.log[KEY][-1]
    assert isinstance(end, ExecutionCompleted)
    state = end.final_state | {"tokens_used": 56}
    found.log[KEY][-1] = end.model_copy(update={"final_state": state})


WRONG: dict[str, Callable[[Found], object]] = {
    "ended 0 times": lambda found: found.log[KEY].pop(),
    "ended 2 times": lambda found: found.log[KEY].append(found.log[KEY][-1]),
    "started 2 times": lambda found: found.log[KEY].insert(0, found.log[KEY][0]),
    "results of": lambda found: found.log[KEY].pop(3),
    "not the first results": _second_counted,
    "56 tokens": _counted_twice,
    "history says None": lambda found: found.statuses.clear(),
    "history holds events twice": lambda found: found.rows.append(2),
    "history lacks": lambda found: found.rows.remove(2),
    "history holds what": lambda found: found.rows.append(9),
    "still holds": lambda found: found.left.update(TASKS=1),
    "un-acked": lambda found: found.pending.update({"EVENTS/history": (1, 0)}),
    "nobody was told": lambda found: found.log.update({("acme", "other"): []}),
}


@pytest.mark.parametrize("says", list(WRONG))
def test_each_broken_promise_is_named(says: str) -> None:
    found = right()
    WRONG[says](found)
    assert any(says in line for line in violations(found, {KEY}, ("a", "b")))


def test_an_execution_nobody_finished_is_named() -> None:
    assert violations(right(), {KEY, ("acme", "lost")}, ("a", "b"))
