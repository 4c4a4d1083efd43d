"""Lists of executions: filters, cursors, and the wall between tenants."""

from datetime import timedelta
from typing import Any

import pytest

from agentflow.contracts.ids import ExecutionId, TenantId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.status import ExecutionStatus
from agentflow.storage.engine import Database
from agentflow.storage.errors import BadCursor
from agentflow.storage.executions import ExecutionFilter, Executions
from tests.integration.history.projecting import projector
from tests.support.deliveries import deliver
from tests.support.events import START, Story

ACME, EVIL = TenantId("acme"), TenantId("evil")
ERROR = NodeError(code="auth", message="The KEY ist ungültig: STRASSE")

FILTERS: list[tuple[dict[str, Any], str]] = [
    ({"statuses": (ExecutionStatus.FAILED,)}, "876"),
    ({"statuses": (ExecutionStatus.FAILED, ExecutionStatus.PENDING)}, "876210"),
    ({"created_from": START + timedelta(seconds=3)}, "876"),
    ({"created_to": START + timedelta(seconds=1)}, "10"),
    ({"created_from": START, "created_to": START}, ""),
    ({"workflow_id": "wf_even"}, "86420"),
    ({"workflow_name": "Flow 4"}, "4"),
    ({"tags": ("vip",)}, "210"),
    ({"tags": ("vip", "n1")}, "1"),
    ({"tags": ("VIP",)}, ""),
    ({"metadata": {"shop": "2"}}, "852"),
    ({"metadata": {"shop": 2, "live": False}}, "852"),
    ({"metadata": {"live": "true"}}, "1"),
    ({"metadata": {"deep": "indexed"}}, ""),
    ({"text": "flow 7"}, "7"),
    ({"text": "ähre 5"}, "5"),
    ({"text": "STRASSE"}, "876"),
    ({"text": "straße"}, "876"),
    ({"text": "exec_3"}, "3"),
    ({"text": "n2"}, "2"),
    ({"text": "%"}, ""),
    ({"text": "_low"}, ""),
    ({"text": "vip", "metadata": {"shop": 0}}, "0"),
]


@pytest.fixture
async def store(database: Database) -> Executions:
    """Nine executions of acme, one second apart in pairs of the same instant, and one of evil."""
    stories = []
    for number in range(9):
        story = Story("acme", f"exec_{number}")
        story.accepted(
            workflow_id="wf_even" if number % 2 == 0 else None,
            workflow_name=f"Flow {number}",
            tags=("vip", f"n{number}") if number < 3 else (),
            metadata={"shop": number % 3, "live": number == 1, "deep": {"not": "indexed"}},
        )
        if number > 2:
            story.started(
                workflow_name=f"Flow {number}", initial_state={"user_input": f"Ähre {number}"}
            )
        if number > 5:
            story.failed(error=ERROR)
        stories.append(story)
    stories.append(Story("evil", "exec_evil").accepted(tags=("vip",), workflow_id="wf_even"))
    events = [
        event.model_copy(update={"occurred_at": START + timedelta(seconds=number // 2)})
        for number, story in enumerate(stories)
        for event in story.events
    ]
    await projector(database).project(deliver(events))
    return Executions(database)


async def ids(store: Executions, **where: Any) -> list[str]:
    page = await store.list(ACME, ExecutionFilter(**where))
    assert await store.count(ACME, ExecutionFilter(**where)) == len(page.items)
    return [item.execution_id.removeprefix("exec_") for item in page.items]


async def test_the_newest_come_first(store: Executions) -> None:
    assert await ids(store) == list("876543210")


async def test_each_filter_narrows_the_list(store: Executions) -> None:
    for where, expected in FILTERS:
        assert await ids(store, **where) == list(expected), where


async def test_cursors_walk_everything_once_even_where_times_are_equal(store: Executions) -> None:
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.list(ACME, limit=2, cursor=cursor)
        seen += [item.execution_id for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"exec_{number}" for number in range(8, -1, -1)]


async def test_skip_and_limit_work_as_well(store: Executions) -> None:
    page = await store.list(ACME, skip=7, limit=5)
    assert [item.execution_id for item in page.items] == ["exec_1", "exec_0"]


async def test_a_cursor_of_somebody_elses_making_is_refused(store: Executions) -> None:
    with pytest.raises(BadCursor):
        await store.list(ACME, cursor="nonsense")


async def test_a_tenant_sees_nothing_of_another(store: Executions) -> None:
    evil = ExecutionId("exec_evil")
    assert await store.get(ACME, evil) is None
    assert await store.find(ACME, evil) is None
    assert await store.get(EVIL, ExecutionId("exec_1")) is None
    assert [item.execution_id for item in (await store.list(EVIL)).items] == ["exec_evil"]
    assert await store.count(EVIL, ExecutionFilter(tags=("vip",))) == 1
    assert await store.count_active(EVIL, "wf_even") == 1
    # Negative control: it is there for whom it belongs to.
    assert await store.get(EVIL, evil) is not None


async def test_a_list_shows_no_states(store: Executions) -> None:
    item = (await store.list(ACME, limit=1)).items[0]
    assert "initial_state" not in item.model_dump()
    assert item.error == ERROR
    assert item.metadata["shop"] == 2


async def test_ended_executions_do_not_keep_a_workflow_busy(store: Executions) -> None:
    assert await store.count_active(ACME, "wf_even") == 3


async def test_absurdly_long_tags_and_names_are_stored_and_found(
    database: Database, store: Executions
) -> None:
    long = "x" * 10_000
    story = Story("acme", "exec_long").accepted(workflow_name=long, tags=(long,))
    deliveries = deliver(story.events, first=900)
    await projector(database).project(deliveries)
    assert deliveries[0].buried is None
    assert await ids(store, tags=(long,)) == ["long"]
