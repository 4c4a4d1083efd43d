"""History equals the event stream: every event once, whatever the delivery does to them (G5)."""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from agentflow.contracts.ids import ExecutionId, TenantId
from agentflow.contracts.status import ExecutionStatus, NodeStatus
from agentflow.storage import migrate
from agentflow.storage.engine import Database, open_database
from agentflow.storage.executions import Executions
from agentflow.storage.settings import StorageSettings
from agentflow.storage.tables import node_executions
from tests.integration.history.projecting import everything, projector, wipe
from tests.support.deliveries import FakeDelivery, deliver
from tests.support.events import START, Story

ACME = TenantId("acme")
ONE = ExecutionId("exec_1")


def eventful() -> Story:
    """An execution with nearly everything in it."""
    return (
        Story()
        .accepted(workflow_name="triage", requested_by="ann", tags=("vip",), metadata={"shop": 7})
        .started(tags=("vip",), metadata={"shop": 7}, workflow_id="wf_1", workflow_version=3)
        .node_started("a")
        .retrying("a", 1)
        .done("a", 2, writes={"tokens_used": 5, "cost": 0.25}, input={"prompt": "hi"})
        .resumed("executor-2")
        .done("b", 1, output={"$ref": "agentflow-object:x", "size": 70000, "type": "string"})
        .done("a", 3)
        .skipped("c")
        .completed(tokens_used=5, cost=0.25, warnings=("careful",))
        .done("b", 2)
    )


async def test_every_event_is_exactly_one_row_in_log_order(database: Database) -> None:
    story = eventful()
    deliveries = deliver(story.events, first=100)
    await projector(database).project(deliveries)
    rows = await everything(database)
    stored = sorted(
        [(row[2], row[3]) for row in rows["node_executions"]]
        + [(row[2], row[3]) for row in rows["execution_events"]]
    )
    expected = [(d.sequence, ".".join(d.subject.split(".")[-2:])) for d in deliveries]
    assert stored == expected
    assert len(rows["executions"]) == 1


async def test_the_detail_tells_the_whole_story(database: Database) -> None:
    await projector(database).project(deliver(eventful().events))
    found = await Executions(database).get(ACME, ONE)
    assert found is not None
    assert found.status is ExecutionStatus.COMPLETED
    assert (found.workflow_name, found.workflow_id, found.workflow_version) == ("triage", "wf_1", 3)
    assert (found.requested_by, found.tags, found.metadata) == ("ann", ("vip",), {"shop": 7})
    assert found.initial_state == {"user_input": "Where is my order?"}
    assert found.final_state == {"final_output": 1}
    assert (found.tokens_used, found.cost, found.duration_ms) == (5, 0.25, 12.5)
    assert found.created_at == START
    assert found.executor_id == "executor-2"
    assert found.warnings == ("careful",)
    assert [node.node_id for node in found.nodes] == ["a", "b", "c"]
    first, second, third = found.nodes
    assert first.status is NodeStatus.COMPLETED
    assert (first.output, first.input, first.tokens_used, first.cost) == (
        "a says 2",
        {"prompt": "hi"},
        5,
        0.25,
    )
    assert (first.queue_wait_ms, first.duration_ms) == (50.0, 250.0)
    assert [(a.attempt, a.status, a.ignored) for a in first.attempts] == [
        (1, NodeStatus.FAILED, False),
        (2, NodeStatus.COMPLETED, False),
        (3, NodeStatus.COMPLETED, True),
    ]
    assert first.attempts[0].error is not None
    assert first.attempts[0].error.code == "rate_limited"
    assert second.output == {"$ref": "agentflow-object:x", "size": 70000, "type": "string"}
    assert [a.ignored for a in second.attempts] == [False, True]
    assert (third.status, third.reason) == (NodeStatus.SKIPPED, "no way in was taken")
    assert [event.event for event in found.events] == [
        "command.accepted",
        "execution.started",
        "execution.resumed",
        "execution.completed",
    ]


async def test_a_batch_delivered_again_after_its_commit_changes_nothing(
    database: Database,
) -> None:
    deliveries = deliver(eventful().events)
    history = projector(database)
    await history.project(deliveries)
    before = await everything(database)
    await history.project(deliveries)
    await history.project(deliveries[3:7])
    assert await everything(database) == before


async def test_without_the_key_a_redelivery_would_be_seen(database: Database) -> None:
    """Negative control: the same rows under other places in the stream do count twice."""
    deliveries = deliver(eventful().events)
    history = projector(database)
    await history.project(deliveries)
    before = await everything(database)
    await history.project(deliver(eventful().events, first=500))
    assert await everything(database) != before


async def test_any_order_of_delivery_gives_the_same_rows(database: Database) -> None:
    deliveries = deliver(eventful().events)
    history = projector(database)
    await history.project(deliveries)
    expected = await everything(database)
    for seed in range(8):
        await wipe(database)
        shuffled = deliveries * 2
        random.Random(seed).shuffle(shuffled)
        for index in range(0, len(shuffled), 3):
            await history.project(_once(shuffled[index : index + 3]))
        assert await everything(database) == expected, seed


STEPS = st.sampled_from(
    [
        *("accepted", "started", "resumed", "cancel_requested", "node_started", "retrying"),
        *("done", "node_failed", "skipped", "node_cancelled", "completed", "failed", "cancelled"),
    ]
)


async def compare_orders(
    database: Database, deliveries: list[FakeDelivery], chance: random.Random
) -> None:
    history = projector(database)
    await wipe(database)
    await history.project(deliveries)
    expected = await everything(database)
    await wipe(database)
    shuffled = [*deliveries, *chance.sample(deliveries, len(deliveries) // 2)]
    chance.shuffle(shuffled)
    while shuffled:
        size = chance.randint(1, 4)
        await history.project(_once(shuffled[:size]))
        shuffled = shuffled[size:]
    assert await everything(database) == expected


def test_the_rows_depend_on_the_set_of_events_and_on_nothing_else(tmp_path: Path) -> None:
    """Any events, even ones that contradict each other, in any batches, any number of times."""
    url = f"sqlite:///{tmp_path / 'any.db'}"
    asyncio.run(migrate.upgrade(url))

    @given(st.lists(STEPS, min_size=1, max_size=8), st.randoms(use_true_random=False))
    @hypothesis_settings(max_examples=100)
    def check(steps: list[str], chance: random.Random) -> None:
        asyncio.run(compare(steps, chance))

    async def compare(steps: list[str], chance: random.Random) -> None:
        story = Story()
        for step in steps:
            getattr(story, step)()
        settings = StorageSettings(database_url=url, sqlite_synchronous="NORMAL")
        database = open_database(settings)
        try:
            await compare_orders(database, deliver(story.events), chance)
        finally:
            await database.close()

    check()


async def test_a_terminal_status_never_changes(database: Database) -> None:
    history = projector(database)
    await history.project(deliver(Story().accepted().started().completed().events))
    late = Story().failed().resumed("executor-9").accepted().events
    await history.project(deliver(late, first=50))
    found = await Executions(database).get(ACME, ONE)
    assert found is not None
    assert found.status is ExecutionStatus.COMPLETED
    assert found.error is None


async def test_an_execution_is_pending_then_running_then_ended(database: Database) -> None:
    history, store = projector(database), Executions(database)
    seen = []
    for delivery in deliver(Story().accepted().started().done("a").failed().events):
        await history.project([delivery])
        found = await store.find(ACME, ONE)
        assert found is not None
        seen.append(found.status.value)
    assert seen == ["PENDING", "RUNNING", "RUNNING", "FAILED"]


async def test_the_projected_sequence_is_the_highest_and_never_goes_back(
    database: Database,
) -> None:
    history, store = projector(database), Executions(database)
    assert await store.projected_sequence() == 0
    await history.project(deliver(Story().accepted().started().events, first=40))
    await history.project(deliver(Story(execution_id="exec_2").accepted().events, first=7))
    assert await store.projected_sequence() == 41


async def test_an_event_of_a_type_of_another_release_is_kept(database: Database) -> None:
    unknown = FakeDelivery(
        "agentflow.events.acme.exec_1.execution.paused",
        b'{"occurred_at": "2026-11-21T03:00:09Z", "why": "lunch"}',
        9,
    )
    await projector(database).project([unknown, *deliver(Story().accepted().events)])
    found = await Executions(database).get(ACME, ONE)
    assert unknown.buried is None
    assert found is not None
    assert [event.event for event in found.events] == ["command.accepted", "execution.paused"]


async def test_two_tenants_may_use_the_same_execution_id(database: Database) -> None:
    mine = Story("acme").accepted(workflow_name="mine").started(workflow_name="mine").completed()
    yours = Story("evil").accepted(workflow_name="yours").started(workflow_name="yours")
    both = [*mine.events, *yours.done("a", output="secret").failed().events]
    await projector(database).project(deliver(both))
    store = Executions(database)
    found, other = await store.get(ACME, ONE), await store.get(TenantId("evil"), ONE)
    assert found is not None
    assert other is not None
    assert (found.workflow_name, found.status, found.nodes) == ("mine", "COMPLETED", ())
    assert (other.workflow_name, other.status) == ("yours", "FAILED")


async def test_a_row_with_a_missing_column_is_not_written_silently(database: Database) -> None:
    """Negative control of the row builders: the table insists on what an event must say."""
    row: dict[str, Any] = {"tenant": "acme", "execution_id": "e", "event_seq": 1}
    async with database.write() as connection:
        with pytest.raises(IntegrityError):
            await connection.execute(insert(node_executions), row)
        await connection.rollback()


def _once(deliveries: list[FakeDelivery]) -> list[FakeDelivery]:
    """A stream never holds one place twice in one batch."""
    return list({delivery.sequence: delivery for delivery in deliveries}.values())
