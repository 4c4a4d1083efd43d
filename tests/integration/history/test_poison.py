"""One bad event must never jam the projector: it is put aside, everything else is stored (G7)."""

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
import pytest

from agentflow.contracts.events import NodeCompleted
from agentflow.contracts.ids import ExecutionId, TenantId
from agentflow.contracts.result import Usage
from agentflow.history import projector as module
from agentflow.history.fold import fold
from agentflow.history.recorded import Recorded, read_event
from agentflow.storage.engine import Database
from agentflow.storage.executions import Executions
from agentflow.storage.failures import is_outage, is_refusal
from agentflow.storage.projection import Projection, ProjectionBatch
from tests.integration.history.projecting import everything, projector
from tests.support.deliveries import FakeDelivery, deliver
from tests.support.events import Story

ACME = TenantId("acme")
ONE = ExecutionId("exec_1")
HUGE = 2**70


def with_a_poison(database: Database) -> tuple[list[FakeDelivery], FakeDelivery]:
    """A batch of 21 with one event the database cannot store, in the middle."""
    story = Story().accepted().started()
    for number in range(9):
        story.done(f"n{number}")
    # A NUL in a text column (PostgreSQL), a number past 64 bits (SQLite).
    usage = (
        Usage(model="bad\0model") if database.dialect == "postgresql" else Usage(prompt_tokens=HUGE)
    )
    story.done("poison", usage=usage)
    for number in range(9, 17):
        story.done(f"n{number}")
    deliveries = deliver(story.completed().events)
    return deliveries, deliveries[11]


async def test_the_database_does_refuse_the_whole_batch(database: Database) -> None:
    """Negative control: without the isolation nothing at all would be stored."""
    deliveries, _ = with_a_poison(database)
    events = [read_event(d.subject, d.data, d.sequence, d.timestamp) for d in deliveries]
    with pytest.raises(Exception) as refused:
        await Projection(database).write(fold(events, datetime.now(UTC)))
    assert is_refusal(refused.value)
    assert not is_outage(refused.value)
    assert all(rows == [] for rows in (await everything(database)).values())


async def test_the_bad_event_is_put_aside_and_the_rest_is_stored(database: Database) -> None:
    deliveries, poison = with_a_poison(database)
    await projector(database).project(deliveries)
    assert poison.buried is not None
    code, reason = poison.buried
    assert code == "unstorable_event"
    assert "refuses" in reason
    assert [d for d in deliveries if d.buried] == [poison]
    found = await Executions(database).get(ACME, ONE)
    assert found is not None
    assert found.status == "COMPLETED"
    assert [node.node_id for node in found.nodes] == [f"n{number}" for number in range(17)]


NODE = (
    b'{"tenant":"acme","execution_id":"exec_1","node_id":"a","node_type":"llm",'
    b'"occurred_at":"%b","output":%b}'
)
BAD_BODIES = [
    b"",
    b"not json",
    b"[]",
    b"{}",
    b'{"tenant": "acme"}',
    b"[" * 100_000,
    NODE % (b"yesterday", b"1"),
    NODE % (b"2026-11-21T03:00:00", b"1"),
    NODE % (b"2026-11-21T03:00:00Z", b'"\\ud800"'),
    b"\xff\xfe",
]


async def test_what_is_no_event_is_put_aside_with_the_reason(database: Database) -> None:
    bad = [
        FakeDelivery("agentflow.events.acme.exec_1.node.completed", body, place)
        for place, body in enumerate(BAD_BODIES, 1)
    ]
    good = deliver(Story().accepted().events, first=100)
    await projector(database).project([*bad, *good])
    for delivery in bad:
        assert delivery.buried is not None, delivery.data[:40]
        assert delivery.buried[0] == "malformed_event"
    assert good[0].buried is None
    assert await Executions(database).find(ACME, ONE) is not None


async def test_a_body_cannot_speak_for_another_tenant_than_its_subject(
    database: Database,
) -> None:
    forged = deliver(Story("evil").accepted().started().events)
    for delivery in forged:
        delivery.subject = delivery.subject.replace(".evil.", ".acme.")
    await projector(database).project(forged)
    assert all(d.buried is not None and d.buried[0] == "malformed_event" for d in forged)
    assert await Executions(database).find(ACME, ONE) is None
    assert await Executions(database).find(TenantId("evil"), ONE) is None


async def test_awkward_values_are_stored_as_they_are(database: Database) -> None:
    awkward = {"nul": "a\0b", "emoji": "😀", "big": 2**63, "nested": [[[{"x": None}]]], "e": 1e300}
    await projector(database).project(deliver(Story().started().done("a", output=awkward).events))
    found = await Executions(database).get(ACME, ONE)
    assert found is not None
    assert found.nodes[0].output == awkward


async def test_a_fold_that_fails_on_one_event_does_not_jam_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(events: Sequence[Recorded], now: datetime) -> ProjectionBatch:
        if any(isinstance(e.event, NodeCompleted) for e in events):
            raise KeyError("a bug")
        return fold(events, now)

    monkeypatch.setattr(module, "fold", broken)
    deliveries = deliver(Story().accepted().started().done("a").completed().events)
    await projector(database).project(deliveries)
    assert [d.sequence for d in deliveries if d.buried] == [3]
    found = await Executions(database).find(ACME, ONE)
    assert found is not None
    assert found.status == "COMPLETED"


def test_the_huge_number_is_one_no_database_holds() -> None:
    with pytest.raises(TypeError):
        orjson.dumps(HUGE)
