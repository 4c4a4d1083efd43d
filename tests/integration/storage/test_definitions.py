"""Workflows and sources: versions never change, deletes are careful, tenants are apart."""

from datetime import timedelta

import pytest

from agentflow.contracts.ids import TenantId
from agentflow.contracts.spec import Source
from agentflow.storage.engine import Database
from agentflow.storage.errors import AlreadyExists, InUse, NotFound, StaleVersion
from agentflow.storage.sources import Sources
from agentflow.storage.workflows import Workflows, named_sources
from tests.integration.history.projecting import projector
from tests.support.deliveries import deliver
from tests.support.events import START, Story

ACME, EVIL = TenantId("acme"), TenantId("evil")
SPEC = {
    "name": "Triage",
    "start_node": "a",
    "nodes": [{"id": "a", "type": "llm", "metadata": {"source_id": "gpt", "prompt": "{x} ä\0"}}],
}


async def test_a_change_is_a_new_version_and_the_old_one_stays(database: Database) -> None:
    store = Workflows(database)
    first = await store.create(ACME, "wf_1", SPEC, now=START, created_by="ann")
    assert (first.version, first.spec, first.name, first.created_by) == (1, SPEC, "Triage", "ann")
    later = START + timedelta(minutes=1)
    changed = {**SPEC, "name": "Triage 2"}
    second = await store.replace(
        ACME, "wf_1", changed, now=later, expected_version=1, definition_hash="abc"
    )
    assert (second.version, second.latest_version, second.name) == (2, 2, "Triage 2")
    assert (second.created_at, second.updated_at) == (START, later)
    old = await store.get(ACME, "wf_1", version=1)
    assert old is not None
    assert (old.spec, old.version, old.latest_version) == (SPEC, 1, 2)
    assert [v.version for v in await store.versions(ACME, "wf_1")] == [2, 1]


async def test_an_id_is_taken_once_per_tenant(database: Database) -> None:
    store = Workflows(database)
    await store.create(ACME, "wf_1", SPEC, now=START)
    with pytest.raises(AlreadyExists):
        await store.create(ACME, "wf_1", SPEC, now=START)
    await store.create(EVIL, "wf_1", {**SPEC, "name": "theirs"}, now=START)
    mine = await store.get(ACME, "wf_1")
    assert mine is not None
    assert mine.name == "Triage"


async def test_a_stale_change_is_refused(database: Database) -> None:
    store = Workflows(database)
    await store.create(ACME, "wf_1", SPEC, now=START)
    await store.replace(ACME, "wf_1", SPEC, now=START)
    with pytest.raises(StaleVersion, match="at version 2, not 1"):
        await store.replace(ACME, "wf_1", SPEC, now=START, expected_version=1)


async def test_a_workflow_of_another_tenant_is_not_there(database: Database) -> None:
    store = Workflows(database)
    await store.create(ACME, "wf_1", SPEC, now=START)
    assert await store.get(EVIL, "wf_1") is None
    assert (await store.list(EVIL)).items == ()
    for attempt in (
        store.replace(EVIL, "wf_1", SPEC, now=START),
        store.delete(EVIL, "wf_1", now=START),
        store.versions(EVIL, "wf_1"),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await store.get(ACME, "wf_1") is not None


async def test_a_workflow_with_running_executions_is_not_deleted(database: Database) -> None:
    store = Workflows(database)
    await store.create(ACME, "wf_1", SPEC, now=START)
    story = Story().accepted(workflow_id="wf_1").started(workflow_id="wf_1")
    await projector(database).project(deliver(story.events))
    with pytest.raises(InUse, match="1 executions"):
        await store.delete(ACME, "wf_1", now=START)
    await projector(database).project(deliver(story.completed().events))
    await store.delete(ACME, "wf_1", now=START)
    assert await store.get(ACME, "wf_1") is None
    with pytest.raises(NotFound):
        await store.delete(ACME, "wf_1", now=START)
    with pytest.raises(AlreadyExists):
        await store.create(ACME, "wf_1", SPEC, now=START)


async def test_workflows_are_listed_by_their_latest_change(database: Database) -> None:
    store = Workflows(database)
    for number in range(5):
        spec = {**SPEC, "name": f"Flow {number}%"}
        await store.create(ACME, f"wf_{number}", spec, now=START + timedelta(seconds=number))
    await store.replace(ACME, "wf_1", SPEC, now=START + timedelta(hours=1))
    first = await store.list(ACME, limit=3)
    assert [w.workflow_id for w in first.items] == ["wf_1", "wf_4", "wf_3"]
    rest = await store.list(ACME, limit=3, cursor=first.next_cursor)
    assert [w.workflow_id for w in rest.items] == ["wf_2", "wf_0"]
    assert rest.next_cursor is None
    named = await store.list(ACME, name="flow 3%")
    assert [w.workflow_id for w in named.items] == ["wf_3"]


async def test_a_source_is_not_deleted_while_a_workflow_names_it(database: Database) -> None:
    sources, workflows = Sources(database), Workflows(database)
    made = await sources.create(
        ACME, Source(id="gpt", kind="llm", config={"model": "m"}), now=START
    )
    assert (made.revision, made.config) == (1, {"model": "m"})
    await workflows.create(ACME, "wf_1", SPEC, now=START)
    with pytest.raises(InUse, match="wf_1"):
        await sources.delete(ACME, "gpt")
    await workflows.replace(ACME, "wf_1", {"name": "no source"}, now=START)
    await sources.delete(ACME, "gpt")
    assert await sources.get(ACME, "gpt") is None
    with pytest.raises(NotFound):
        await sources.delete(ACME, "gpt")


async def test_a_source_counts_its_changes(database: Database) -> None:
    store = Sources(database)
    await store.create(ACME, Source(id="gpt", kind="llm"), now=START)
    with pytest.raises(AlreadyExists):
        await store.create(ACME, Source(id="gpt", kind="db"), now=START)
    later = START + timedelta(seconds=5)
    changed = Source(id="gpt", kind="llm", name="New", config={"a": [1]})
    second = await store.replace(ACME, changed, now=later, expected_revision=1)
    assert (second.revision, second.name, second.updated_at) == (2, "New", later)
    assert await store.get(ACME, "gpt") == second
    with pytest.raises(StaleVersion):
        await store.replace(ACME, changed, now=later, expected_revision=1)
    with pytest.raises(NotFound):
        await store.replace(EVIL, changed, now=later)
    assert (await store.list(ACME, kind="llm")).items == (second,)
    assert (await store.list(ACME, kind="db")).items == ()
    assert (await store.list(EVIL)).items == ()
    assert await store.get(EVIL, "gpt") is None


def test_only_sources_that_are_not_inline_are_stored_ones() -> None:
    spec = {
        "sources": [{"id": "own", "kind": "llm"}],
        "nodes": [
            {"id": "a", "source": "one", "metadata": {"source": "two"}},
            {"id": "b", "metadata": {"source_id": "own"}},
            {"id": "c", "metadata": None},
            "nonsense",
        ],
    }
    assert named_sources(spec) == {"one", "two"}
    assert named_sources({"nodes": "nonsense"}) == set()
