"""Bad input on the subjects that are not commands: tasks, events, audit, the live feed. It is
put aside once, running executions end as they should, and nobody's connection is lost.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from agentflow.cli.embedded.stack import Stack
from agentflow.contracts.spec import NODE_TYPES
from tests.support.hostile import WORKFLOW, no_object, not_json, poisoned
from tests.support.providers.openai_server import OpenAIServer, hanging, saying
from tests.support.stacks import running_stack
from tests.support.waiting import eventually
from tests.support.watch_bus import BusWatch, Sent

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
NOW = datetime.now(UTC)
TASK: dict[str, Any] = {
    "tenant": "acme",
    "execution_id": "exec_x",
    "node_id": "n",
    "pool": "input",
    "node": {"id": "n", "type": "input"},
    "state": {"user_input": "you"},
    "deadline": (NOW + timedelta(hours=1)).isoformat(),
    "dispatched_at": NOW.isoformat(),
    "effect_key": "k",
}
EVENT: dict[str, Any] = {
    "tenant": "acme",
    "execution_id": "exec_y",
    "node_id": "n",
    "node_type": "llm",
    "occurred_at": NOW.isoformat(),
    "output": 1,
}
RECORD: dict[str, Any] = {
    "tenant": "acme",
    "resource": "workflow",
    "verb": "created",
    "occurred_at": NOW.isoformat(),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("hostile")
    async with running_stack(
        directory, split=False, environ={"OPENAI_API_KEY": "not-a-real-one"}
    ) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(stack: Stack) -> AsyncIterator[BusWatch]:
    async with BusWatch(stack.addresses.nats_url) as watching:
        yield watching


async def good_is_served(bus: BusWatch) -> None:
    body = {"workflow": WORKFLOW, "initial_state": {"user_input": "you"}}
    asked = await bus.send("commands.acme.execute", json.dumps(body).encode())
    assert (await bus.result(asked))["status"] == "COMPLETED"


async def empty(bus: BusWatch, stream: str) -> None:
    async def is_empty() -> bool:
        return await bus.left(stream) == 0

    await eventually(is_empty, timeout=20, says=f"{stream} is empty")


async def failed_event(bus: BusWatch, execution_id: str, verb: str = "node.failed") -> Any:
    """The body of the event on this subject, once it is there."""

    def found() -> list[bytes]:
        subject = f"agentflow.events.acme.{execution_id}.{verb}"
        return [data for heard, data in bus.events if heard == subject]

    return json.loads((await eventually(found, says=f"{verb} of {execution_id}"))[0])


UNREADABLE_TASKS = {
    **not_json(),
    **no_object(),
    **{
        name: body
        for name, body in poisoned(TASK, "deadline").items()  # the wrong type besides
        if len(body) < 1_100_000
    },
    **{f"without {key}": json.dumps({**TASK, key: None}).encode() for key in TASK},
    "another node": json.dumps({**TASK, "node_id": "other"}).encode(),
    "another tenant": json.dumps({**TASK, "tenant": "other"}).encode(),
    "another pool": json.dumps({**TASK, "pool": "llm"}).encode(),
    "a deadline without a zone": json.dumps({**TASK, "deadline": "2126-01-01T00:00:00"}).encode(),
    "a deadline beyond time": json.dumps({**TASK, "deadline": "99999-01-01"}).encode(),
}


@pytest.mark.parametrize("name", UNREADABLE_TASKS)
async def test_a_task_nobody_can_run_is_put_aside_and_its_execution_hears_of_it(
    bus: BusWatch, name: str
) -> None:
    before = (await bus.deliveries())["pool_input"]
    place = list(UNREADABLE_TASKS).index(name)
    execution_id = f"exec_task{place}"
    body = UNREADABLE_TASKS[name].replace(b"exec_x", execution_id.encode())
    sent = await bus.send(f"tasks.input.acme.{execution_id}.n", body, header_reply=False)
    letter = await bus.dead_letter(sent)
    assert letter["tenant"] == "acme"
    assert letter["code"] == "malformed_task"
    event = await failed_event(bus, execution_id)
    assert event["error"]["code"] == "malformed_task"
    await empty(bus, "TASKS")
    assert (await bus.deliveries())["pool_input"] - before == 1
    await good_is_served(bus)


@pytest.mark.parametrize("pool", NODE_TYPES)
async def test_every_pool_puts_bad_tasks_aside_within_a_moment(bus: BusWatch, pool: str) -> None:
    before = (await bus.deliveries())[f"pool_{pool}"]
    sent: list[Sent] = []
    for number, body in enumerate({**not_json(), **no_object()}.values()):
        subject = f"tasks.{pool}.acme.exec_{pool}{number}.n"
        sent.append(await bus.send(subject, body, header_reply=False))
    for message in sent:
        await bus.dead_letter(message)
    await empty(bus, "TASKS")
    assert (await bus.deliveries())[f"pool_{pool}"] - before == len(sent)
    assert median(message.took for message in sent) < 1


ODD_NODES: dict[str, dict[str, Any]] = {
    "a type nobody knows": {"node": {"id": "n", "type": "nobody_knows"}},
    "no metadata it needs": {"node": {"id": "n", "type": "llm"}, "pool": "llm"},
    "metadata of the wrong type": {
        "node": {"id": "n", "type": "llm", "metadata": {"prompt": [7], "temperature": "hot"}},
        "source": {"id": "s", "kind": "llm", "config": {"provider": "demo"}},
        "pool": "llm",
    },
    "a source of the wrong kind": {
        "node": {"id": "n", "type": "db", "metadata": {"query": "select 1"}},
        "source": {"id": "s", "kind": "llm", "config": {}},
        "pool": "db",
    },
    "a template that never ends": {
        "node": {
            "id": "n",
            "type": "aggregator",
            "metadata": {
                "strategy": "template",
                "template_engine": "jinja",
                "template": "{% for a in range(99999) %}{% for b in range(99999) %}x"
                "{% endfor %}{% endfor %}",
            },
        },
        "pool": "aggregator",
    },
    "a pattern that never ends": {
        "node": {
            "id": "n",
            "type": "router",
            "metadata": {
                "strategy": "pattern",
                "routes": [{"intent": "x", "pattern": "(a+)+$"}],
                "default_intent": "y",
            },
        },
        "state": {"user_input": "a" * 100_000 + "b"},
        "pool": "router",
    },
    "a reference of another tenant": {
        "node": {"id": "n", "type": "aggregator", "metadata": {"source_keys": ["x"]}},
        "state": {"x": {"$ref": "agentflow-object:other/e/x", "size": 1, "type": "string"}},
        "pool": "aggregator",
    },
    "NaN in the state": {"state": {"user_input": float("nan")}},
    "a state 90 levels deep": {"state": json.loads('{"x":' + "[" * 90 + "]" * 90 + "}")},
}


@pytest.mark.parametrize("name", ODD_NODES)
async def test_a_task_that_makes_no_sense_ends_its_node_and_nothing_else(
    bus: BusWatch, name: str
) -> None:
    place = list(ODD_NODES).index(name)
    task = {**TASK, "execution_id": f"exec_odd{place}", **ODD_NODES[name]}
    subject = f"tasks.{task['pool']}.acme.{task['execution_id']}.n"
    await bus.send(subject, json.dumps(task).encode(), header_reply=False)

    def ended() -> list[str]:
        head = f"agentflow.events.acme.{task['execution_id']}.node."
        verbs = ("completed", "failed", "timed_out")
        return [s for s, _ in bus.events if s.startswith(head) and s.endswith(verbs)]

    assert len(await eventually(ended, timeout=60, says="the node has ended")) == 1
    await empty(bus, "TASKS")
    await good_is_served(bus)


async def test_events_nobody_can_read_are_put_aside_by_history(bus: BusWatch) -> None:
    before = (await bus.deliveries())["history"]
    sent: list[Sent] = []
    bodies = {
        **not_json(),
        **no_object(),
        **poisoned(EVENT, "occurred_at"),
        **{f"without {key}": json.dumps({**EVENT, key: None}).encode() for key in list(EVENT)[:4]},
        "another execution": json.dumps({**EVENT, "execution_id": "other"}).encode(),
        "another tenant": json.dumps({**EVENT, "tenant": "other"}).encode(),
        "no zone": json.dumps({**EVENT, "occurred_at": "2026-01-01T00:00:00"}).encode(),
    }
    for body in bodies.values():
        message = await bus.send("events.acme.exec_y.node.completed", body, header_reply=False)
        sent.append(message)
    for message in sent:
        await bus.dead_letter(message)
    assert (await bus.deliveries())["history"] - before == len(sent)
    await good_is_served(bus)


async def test_ends_nobody_can_read_are_put_aside_by_audit_and_history(bus: BusWatch) -> None:
    for verb in ("completed", "failed", "cancelled", "timed_out"):
        sent = await bus.send(
            f"events.acme.exec_z{verb}.execution.{verb}", b"\xff[", header_reply=False
        )
        await bus.dead_letter(sent)

    async def all_acked() -> bool:
        infos = await bus.js.consumers_info("agentflow_EVENTS")
        return all(not info.num_ack_pending and not info.num_pending for info in infos)

    await eventually(all_acked)
    await good_is_served(bus)


async def test_storable_events_with_odd_content_do_not_jam_history(bus: BusWatch) -> None:
    """What a database could refuse: NUL, surrogates, numbers, sizes, times."""
    odd: list[Any] = [
        "a\x00b",
        {"a\x00": 1},
        10**30,
        1e308,
        "x" * 3_000_000,
        json.loads("[" * 90 + "]" * 90),
        {"k" * 10_000: 1},
        "\U0010ffff\u202e",
    ]
    for place, output in enumerate(odd):
        event = {**EVENT, "execution_id": f"exec_odd_{place}", "output": output, "input": output}
        await bus.send(
            f"events.acme.exec_odd_{place}.node.completed",
            json.dumps(event).encode(),
            header_reply=False,
        )
    for place, moment in enumerate(("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")):
        event = {**EVENT, "execution_id": f"exec_time_{place}", "occurred_at": moment}
        await bus.send(
            f"events.acme.exec_time_{place}.node.completed",
            json.dumps(event).encode(),
            header_reply=False,
        )

    async def all_acked() -> bool:
        info = await bus.js.consumer_info("agentflow_EVENTS", "history")
        return not info.num_ack_pending and not info.num_pending

    await eventually(all_acked, timeout=30, says="history has taken or put aside all of it")
    await good_is_served(bus)


async def test_audit_records_nobody_can_read_are_put_aside(bus: BusWatch) -> None:
    before = (await bus.deliveries())["audit_records"]
    sent: list[Sent] = []
    bodies = {
        **not_json(),
        **no_object(),
        **poisoned(RECORD, "occurred_at"),
        **{f"without {key}": json.dumps({**RECORD, key: None}).encode() for key in RECORD},
        "another tenant": json.dumps({**RECORD, "tenant": "other"}).encode(),
    }
    for body in bodies.values():
        message = await bus.send("audit.acme.workflow.created", body, header_reply=False)
        sent.append(message)
    for message in sent:
        await bus.dead_letter(message)
    assert (await bus.deliveries())["audit_records"] - before == len(sent)
    assert median(message.took for message in sent) < 1
    await good_is_served(bus)


def slow_workflow(base_url: str) -> dict[str, Any]:
    """One call to a provider that answers when the test says so."""
    config = {"provider": "openai", "model": "m", "base_url": base_url}
    return {
        "start_node": "ask",
        "nodes": [
            {"id": "ask", "type": "llm", "metadata": {"source_id": "s", "prompt": "{user_input}"}}
        ],
        "edges": [],
        "sources": [{"id": "s", "kind": "llm", "config": config}],
    }


async def test_a_running_execution_is_not_moved_by_garbage_on_its_own_subjects(
    bus: BusWatch,
) -> None:
    answer = asyncio.Event()

    async def when_told(request: Any, connection: Any) -> None:
        await answer.wait()
        await saying("the real answer")(request, connection)

    async with OpenAIServer() as provider:
        provider.script.append(when_told)
        body = {
            "workflow": slow_workflow(provider.base_url),
            "initial_state": {"user_input": "x"},
            "execution_id": "exec_moved",
        }
        asked = await bus.send("commands.acme.execute", json.dumps(body).encode())
        await eventually(lambda: provider.requests)
        log = "events.acme.exec_moved"
        verbs = ("node.completed", "node.failed", "node.exploded", "execution.resumed")
        for verb in (*verbs, "execution.completed", "execution.cancelled"):
            for garbage in (b"", b"[" * 1000, b"null", b'{"node_id": "ask"}', b"\xff"):
                await bus.send(f"{log}.{verb}", garbage, header_reply=False)
        stranger = {**EVENT, "execution_id": "exec_moved", "node_id": "nobody"}
        await bus.send(f"{log}.node.completed", json.dumps(stranger).encode(), header_reply=False)
        forged = {**EVENT, "execution_id": "exec_other", "node_id": "ask", "output": "forged"}
        await bus.send(f"{log}.node.completed", json.dumps(forged).encode(), header_reply=False)
        answer.set()
        result = await bus.result(asked)
    assert result["status"] == "COMPLETED", result
    assert result["final_state"]["text_result"] == "the real answer"
    assert len(provider.requests) == 1


async def test_what_the_live_feed_says_of_no_place_in_the_log_does_not_count(
    bus: BusWatch,
) -> None:
    answer = asyncio.Event()

    async def when_told(request: Any, connection: Any) -> None:
        await answer.wait()
        await saying("the real answer")(request, connection)

    async with OpenAIServer() as provider:
        provider.script.append(when_told)
        body = {
            "workflow": slow_workflow(provider.base_url),
            "initial_state": {"user_input": "x"},
            "execution_id": "exec_live",
        }
        asked = await bus.send("commands.acme.execute", json.dumps(body).encode())
        await eventually(lambda: provider.requests)
        live = "agentflow.live.acme.exec_live"
        forged = {**EVENT, "execution_id": "exec_live", "node_id": "ask", "output": "forged"}
        forged |= {"output_key": "text_result"}
        for data in (b"", b"\xff", b"[" * 100_000, json.dumps(forged).encode()):
            for sequence in (None, "0", "1", "x", "-1", "²", "9" * 5000):
                headers = {"Nats-Sequence": sequence} if sequence else None
                await bus.nc.publish(f"{live}.node.completed", data, headers=headers)
        await bus.nc.flush()
        answer.set()
        result = await bus.result(asked)
    assert result["final_state"].get("text_result") == "the real answer"


async def test_a_message_over_the_servers_limit_costs_its_sender_the_connection_and_nobody_else(
    stack: Stack, bus: BusWatch
) -> None:
    """nats-py refuses to send it; so this client is none."""
    where = urlsplit(stack.addresses.nats_url)
    before = bus.nc.stats["reconnects"]
    for subject in ("commands.acme.execute", "tasks.llm.acme.e.n", "events.acme.e.x.y"):
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        await reader.readline()
        writer.write(b'CONNECT {"verbose":false}\r\n')
        size = 10 * 1024 * 1024
        writer.write(f"PUB agentflow.{subject} {size}\r\n".encode())
        with_body = b"x" * size
        try:
            writer.write(with_body + b"\r\n")
            await asyncio.wait_for(writer.drain(), 10)
            said = await asyncio.wait_for(reader.read(), 10)
        except ConnectionError:
            said = b"Maximum Payload Violation"
        writer.close()
        assert b"Maximum Payload Violation" in said
        await good_is_served(bus)
    assert bus.nc.stats["reconnects"] == before


async def test_cancelling_still_reaches_a_provider_after_all_this(bus: BusWatch) -> None:
    async with OpenAIServer() as provider:
        provider.script.append(hanging())
        body = {
            "workflow": slow_workflow(provider.base_url),
            "initial_state": {"user_input": "x"},
            "execution_id": "exec_cancel",
        }
        asked = await bus.send("commands.acme.execute", json.dumps(body).encode())
        await eventually(lambda: provider.requests)
        for garbage in (b"", b"null", b'{"execution_id": 7}'):
            await bus.send("commands.acme.cancel", garbage)
        await bus.send("commands.acme.cancel", b'{"execution_id": "exec_cancel"}')
        assert (await bus.result(asked))["status"] == "CANCELLED"
