"""Bad input on every command subject: a clear problem or a dead letter, at once, exactly one
delivery each; and the next good message is served.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import pytest_asyncio

from agentflow.cli.embedded.stack import Stack
from tests.support.hostile import WORKFLOW, no_object, not_json, poisoned
from tests.support.stacks import running_stack
from tests.support.waiting import eventually
from tests.support.watch_bus import BusWatch, Sent

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
TENANT = "acme"
GOOD: dict[str, dict[str, Any]] = {
    "execute": {"workflow": WORKFLOW, "initial_state": {"user_input": "you"}},
    "validate": {"workflow": WORKFLOW},
    "cancel": {"execution_id": "exec_unknown"},
}
VERBS = tuple(GOOD)
POISONED_KEY = {"execute": "initial_state", "validate": "workflow", "cancel": "reason"}
UNREADABLE = {
    verb: {**not_json(), **no_object(), **poisoned(GOOD[verb], POISONED_KEY[verb])}
    for verb in VERBS
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    directory: Path = tmp_path_factory.mktemp("hostile")
    async with running_stack(directory, split=False) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(stack: Stack) -> AsyncIterator[BusWatch]:
    async with BusWatch(stack.addresses.nats_url) as watching:
        yield watching


async def good_is_served(bus: BusWatch) -> None:
    """One good message on each command subject."""
    asked = await bus.send(f"commands.{TENANT}.execute", json.dumps(GOOD["execute"]).encode())
    result = await bus.result(asked)
    assert result["status"] == "COMPLETED", result
    assert result["final_state"]["final_output"]["result"] == "Hello you!"
    asked = await bus.send(f"commands.{TENANT}.validate", json.dumps(GOOD["validate"]).encode())
    assert (await bus.result(asked))["valid"] is True


@asynccontextmanager
async def each_delivered_once(bus: BusWatch, verb: str) -> AsyncIterator[list[Sent]]:
    """No hot loop: the server delivered each message of the block once, and holds none."""
    durable = {"execute": "executor", "validate": "validator", "cancel": "canceller"}[verb]
    before = (await bus.deliveries())[durable]
    sent: list[Sent] = []
    yield sent

    async def empty() -> bool:
        return await bus.left("COMMANDS") == 0

    await eventually(empty, timeout=20, says="the queue is empty")
    assert (await bus.deliveries())[durable] - before == len(sent)


def is_clear(problem: dict[str, Any]) -> None:
    """A problem says what is wrong, in our words and no more of theirs than needed."""
    assert problem["code"]
    assert 400 <= problem["status"] < 500
    assert len(problem["detail"]) > 10
    assert len(json.dumps(problem)) < 20_000
    assert "Traceback" not in json.dumps(problem)


@pytest.mark.parametrize("verb", VERBS)
async def test_a_body_nobody_can_read_gets_a_problem_and_a_dead_letter(
    bus: BusWatch, verb: str
) -> None:
    async with each_delivered_once(bus, verb) as sent:
        for body in UNREADABLE[verb].values():
            message = await bus.send(f"commands.{TENANT}.{verb}", body)
            sent.append(message)
            letter = await bus.dead_letter(message)
            is_clear(await bus.problem(message))
            assert letter["tenant"] == TENANT
            assert letter["code"] == message.problems[0]["code"]
            assert letter["deliveries"] == 1
            assert body.startswith(letter["payload"])
            assert len(message.replies) == 1
    await good_is_served(bus)
    assert median(message.took for message in sent) < 1


@pytest.mark.parametrize("verb", VERBS)
async def test_without_anybody_to_tell_it_is_put_aside_all_the_same(
    bus: BusWatch, verb: str
) -> None:
    async with each_delivered_once(bus, verb) as sent:
        for body in UNREADABLE[verb].values():
            message = await bus.send(f"commands.{TENANT}.{verb}", body, header_reply=False)
            sent.append(message)
        for message in sent:
            await bus.dead_letter(message)
    await good_is_served(bus)


WRONG_SHAPES: dict[str, list[dict[str, Any]]] = {
    "execute": [
        {},
        {"workflow": 7},
        {"workflow": []},
        {"workflow": "x"},
        {"workflow": None},
        {"workflow_id": 7},
        {"workflow_id": "a.b"},
        {"workflow_id": "x", "workflow": WORKFLOW},
        {"workflow": WORKFLOW, "initial_state": []},
        {"workflow": WORKFLOW, "initial_state": "x"},
        {"workflow": WORKFLOW, "initial_state": None},
        {"workflow": WORKFLOW, "execution_id": "a.b"},
        {"workflow": WORKFLOW, "execution_id": "*"},
        {"workflow": WORKFLOW, "execution_id": 7},
        {"workflow": WORKFLOW, "execution_id": "x" * 1000},
        {"workflow": WORKFLOW, "timeout_seconds": "soon"},
        {"workflow": WORKFLOW, "timeout_seconds": 0},
        {"workflow": WORKFLOW, "timeout_seconds": -5},
        {"workflow": WORKFLOW, "timeout_seconds": 10**18},
        {"workflow": WORKFLOW, "tags": "a"},
        {"workflow": WORKFLOW, "tags": [1, {}]},
        {"workflow": WORKFLOW, "metadata": []},
        {"workflow": WORKFLOW, "tenant": "somebody_else"},
        {"workflow": WORKFLOW, "tenant": {}},
        {"workflow": WORKFLOW, "occurred_at": "yesterday"},
    ],
    "validate": [
        {"workflow": WORKFLOW, "plan": "perhaps"},
        {"workflow": WORKFLOW, "node": 7},
        {"text": 7},
        {"workflow": WORKFLOW, "tenant": "somebody_else"},
    ],
    "cancel": [
        {},
        {"execution_id": None},
        {"execution_id": 7},
        {"execution_id": ["x"]},
        {"execution_id": "a.b"},
        {"execution_id": ">"},
        {"execution_id": ""},
        {"execution_id": "x", "tenant": "somebody_else"},
    ],
}


@pytest.mark.parametrize("in_header", [True, False], ids=["header", "body"])
@pytest.mark.parametrize("verb", VERBS)
async def test_a_command_of_the_wrong_shape_gets_a_problem_wherever_it_asks_for_it(
    bus: BusWatch, verb: str, in_header: bool
) -> None:
    async with each_delivered_once(bus, verb) as sent:
        for shape in WRONG_SHAPES[verb]:
            body = shape if in_header else {**shape, "reply_to": bus.inbox()}
            message = await bus.send(
                f"commands.{TENANT}.{verb}", json.dumps(body).encode(), header_reply=in_header
            )
            sent.append(message)
            is_clear(await bus.problem(message))
            await bus.dead_letter(message)
            assert len(message.replies) == 1
    await good_is_served(bus)
    assert median(message.took for message in sent) < 1


NOT_WORKFLOWS: list[Any] = [
    {},
    {"nodes": []},
    {"nodes": {}, "edges": 7, "start_node": []},
    {"start_node": "a", "nodes": [None, 7, "x", [], {}]},
    {"start_node": "a", "nodes": [{"id": "a", "type": "nobody_knows"}]},
    {"start_node": "a", "nodes": [{"id": "a.b\n", "type": "input"}]},
    {"start_node": "zz", "nodes": [{"id": "a", "type": "input"}]},
    {"start_node": "a", "nodes": [{"id": "a", "type": "input"}] * 3},
    {**WORKFLOW, "edges": [{"from": "a", "to": "b"}, {"from": "b", "to": "a"}]},
    {**WORKFLOW, "edges": [{"from": "a", "to": "b", "condition": "((("}]},
    {**WORKFLOW, "edges": [{"from": "a", "to": "b", "condition": "x" * 100_000}]},
    {**WORKFLOW, "edges": [{"from": "a", "to": "b", "condition": "!" * 5_000 + "true"}]},
    {**WORKFLOW, "edges": [{"from": "a", "to": "b", "condition": "(" * 5_000 + ")" * 5_000}]},
    {**WORKFLOW, "__class__": "os.system"},
]


@pytest.mark.parametrize("place", range(len(NOT_WORKFLOWS)))
async def test_an_invalid_workflow_fails_its_execution_with_every_reason(
    bus: BusWatch, place: int
) -> None:
    workflow = NOT_WORKFLOWS[place]
    async with each_delivered_once(bus, "execute") as sent:
        message = await bus.send(
            f"commands.{TENANT}.execute", json.dumps({"workflow": workflow}).encode()
        )
        sent.append(message)
        problem = await bus.problem(message)
    is_clear(problem)
    assert problem["code"] == "invalid_workflow"
    assert problem["errors"]
    assert all(issue["code"] and issue["message"] for issue in problem["errors"])
    assert (message.stream, message.sequence) not in bus.dead
    ends = [s for s, _ in bus.events if s.endswith(f"{problem['execution_id']}.execution.failed")]
    assert len(ends) == 1

    async with each_delivered_once(bus, "validate") as sent:
        message = await bus.send(
            f"commands.{TENANT}.validate", json.dumps({"workflow": workflow}).encode()
        )
        sent.append(message)
        report = await bus.result(message)
    assert report["valid"] is False
    assert report["errors"]


async def test_all_errors_are_told_at_once_with_code_pointer_node_and_hint(bus: BusWatch) -> None:
    workflow = {
        "start_node": "inptu",
        "nodes": [
            {"id": "input", "type": "input"},
            {"id": "ask", "type": "llm", "metadata": {"source_id": "gtp", "prompt": "x"}},
            {"id": "lost", "type": "aggregatr"},
        ],
        "edges": [
            {"from": "input", "to": "aks"},
            {"from": "input", "to": "ask", "condition": "intent =="},
        ],
        "sources": [{"id": "gpt", "kind": "llm", "config": {"provider": "demo"}}],
    }
    message = await bus.send(
        f"commands.{TENANT}.execute", json.dumps({"workflow": workflow}).encode()
    )
    errors = (await bus.problem(message))["errors"]
    assert len(errors) >= 5
    assert len({error["code"] for error in errors}) >= 4
    assert all(error["pointer"].startswith("/") for error in errors)
    assert {"ask", "lost"} <= {error.get("node_id") for error in errors}
    hints = " ".join(error.get("hint", "") for error in errors)
    for meant in ("input", "ask", "gpt", "aggregator"):
        assert meant in hints


@pytest.mark.parametrize(
    "reply_to",
    [
        ">",
        "*",
        "a.*.b",
        "a..b",
        ".",
        "a b",
        "a\r\nPUB x 0",
        "$JS.API.STREAM.DELETE.agentflow_EVENTS",
        "$SYS.REQ.SERVER.PING",
        "agentflow.events.acme.forged.execution.completed",
        "agentflow.commands.acme.execute",
        "agentflow.dead.acme.X",
        "x" * 5_000,
    ],
)
async def test_an_answer_goes_to_no_subject_that_is_not_the_askers(
    bus: BusWatch, reply_to: str
) -> None:
    streams = {name: await bus.left(name) for name in ("COMMANDS", "TASKS", "AUDIT")}
    bodies: list[dict[str, Any]] = [GOOD["execute"], {"workflow": {}}, {"workflow": 7}]
    for body in bodies:
        told = json.dumps({**body, "reply_to": reply_to}).encode()
        headers = {"Agentflow-Reply-To": reply_to} if "\r" not in reply_to else None
        await bus.send(f"commands.{TENANT}.execute", told, header_reply=False, headers=headers)
    await good_is_served(bus)
    assert not any(".forged." in subject for subject, _ in bus.events)
    assert (await bus.js.stream_info("agentflow_EVENTS")).config.name == "agentflow_EVENTS"

    async def as_before() -> bool:
        return streams == {name: await bus.left(name) for name in streams}

    await eventually(as_before)


async def test_hostile_headers_change_nothing(bus: BusWatch) -> None:
    async with each_delivered_once(bus, "execute") as sent:
        for headers in (
            {"traceparent": "garbage"},
            {"traceparent": "00-" + "f" * 10_000},
            {"tracestate": "v=" + "x" * 50_000},
            {"Agentflow-Schema": "ExecuteWorkflow/999"},
            {"Agentflow-Schema": "NodeCompleted/1"},
            {"ce-type": "x" * 10_000, "ce-id": ""},
            {"Content-Type": "application/x-python-pickle"},
            {f"X-{n}": "y" for n in range(500)},
        ):
            body = json.dumps(GOOD["execute"]).encode()
            message = await bus.send(f"commands.{TENANT}.execute", body, headers=headers)
            sent.append(message)
            assert (await bus.result(message))["status"] == "COMPLETED"


@pytest.mark.parametrize("tenant", ["äöü", "a@b", "x" * 200, "-" * 64, "null", "{tenant}"])
async def test_odd_tenants_are_refused_or_served_and_never_mixed_up(
    bus: BusWatch, tenant: str
) -> None:
    async with each_delivered_once(bus, "execute") as sent:
        message = await bus.send(f"commands.{tenant}.execute", json.dumps(GOOD["execute"]).encode())
        sent.append(message)
        answer = await bus.result(message)
    if "kind" in answer:
        assert answer["status"] == "COMPLETED"
        assert any(s.startswith(f"agentflow.events.{tenant}.") for s, _ in bus.events)
    else:
        is_clear(answer)
        assert await bus.dead_letter(message)


async def test_control_a_good_message_is_neither_refused_nor_put_aside(bus: BusWatch) -> None:
    known = len(bus.dead)
    await good_is_served(bus)
    assert len(bus.dead) == known
