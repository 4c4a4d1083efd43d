"""Every message of the bus: its address, its payload, its way there and back."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from agentflow.contracts.audits import AuditRecord, DeadLetter
from agentflow.contracts.commands import CancelExecution, ExecuteWorkflow
from agentflow.contracts.events import (
    EVENT_TYPES,
    ExecutionEnded,
    NodeCompleted,
    NodeRetrying,
    decode_event,
    event_of,
    event_type,
)
from agentflow.contracts.ids import is_token
from agentflow.contracts.message import Message
from agentflow.contracts.spec import Node
from agentflow.contracts.status import ExecutionStatus
from agentflow.contracts.tasks import RunNode
from tests.support.messages import MESSAGE_TYPES, json_values, messages, tokens

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
every_message = pytest.mark.parametrize("cls", MESSAGE_TYPES, ids=lambda cls: cls.__name__)


def completed(**fields: Any) -> NodeCompleted:
    base = {"tenant": "t", "execution_id": "e", "node_id": "n", "node_type": "llm"}
    return NodeCompleted.model_validate({**base, "occurred_at": NOW, **fields})


@every_message
@settings(max_examples=20)
@given(data=st.data())
def test_any_message_survives_the_way_there_and_back(
    cls: type[Message], data: st.DataObject
) -> None:
    message = data.draw(messages(cls))
    assert cls.decode(message.encode()) == message


@every_message
@settings(max_examples=20)
@given(data=st.data())
def test_a_subject_matches_its_pattern_and_is_made_of_single_tokens(
    cls: type[Message], data: st.DataObject
) -> None:
    subject = data.draw(messages(cls)).subject()
    pattern = cls.pattern()
    assert subject.startswith("agentflow.")
    assert len(subject.split(".")) == len(pattern.split("."))
    regex = re.escape(pattern).replace(r"\*", "[^.]+")
    assert re.fullmatch(regex, subject)
    assert all(is_token(token) for token in subject.split("."))


@every_message
def test_every_message_names_its_subject_stream_and_schema(cls: type[Message]) -> None:
    assert cls.schema_name() == f"{cls.__name__}/{cls.VERSION}"
    first = cls.SUBJECT.split(".")[0]
    streams = {
        "commands": "COMMANDS",
        "tasks": "TASKS",
        "events": "EVENTS",
        "audit": "AUDIT",
        "dead": "DEAD",
        "tokens": None,
    }
    assert streams[first] == cls.STREAM


@every_message
@settings(max_examples=20)
@given(data=st.data())
def test_a_field_of_a_later_release_is_ignored(cls: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(cls))
    body = json.loads(message.encode())
    body["a_field_of_the_future"] = {"x": [1]}
    assert cls.decode(json.dumps(body).encode()) == message


def test_messages_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        completed().node_id = "other"  # type: ignore[misc,assignment] # that is the point


def test_subjects_carry_the_installations_prefix_and_named_tokens() -> None:
    assert completed().subject("acme") == "acme.events.t.e.node.completed"
    assert NodeCompleted.pattern("acme", tenant="t") == "acme.events.t.*.node.completed"
    assert RunNode.pattern(pool="llm") == "agentflow.tasks.llm.*.*.*"
    assert ExecuteWorkflow().subject() == "agentflow.commands.default.execute"


@given(json_values)
def test_null_members_of_an_output_survive(value: object) -> None:
    """Absent fields are left out of messages; nulls that are data are not."""
    payload = {"here": None, "deep": [None, {"x": None}], "any": value}
    event = completed(output=payload, writes={"k": None, "w": payload}, input=payload)
    back = NodeCompleted.decode(event.encode())
    assert back.output == payload
    assert back.writes == {"k": None, "w": payload}
    assert back.input == payload


def test_absent_optional_fields_are_left_out_of_the_payload() -> None:
    body = json.loads(completed().encode())
    assert "worker_id" not in body
    assert "usage" not in body


def test_a_task_keeps_nulls_in_state_metadata_and_default() -> None:
    node = Node(id="n", type="db", metadata={"params": [None]}, on_error={"default": None})
    task = RunNode.model_validate(
        {
            "tenant": "t",
            "execution_id": "e",
            "node_id": "n",
            "pool": "db",
            "node": node,
            "state": {"a": None},
            "deadline": NOW,
            "dispatched_at": NOW,
            "effect_key": "k",
        }
    )
    assert RunNode.decode(task.encode()) == task


@pytest.mark.parametrize("cls", EVENT_TYPES, ids=lambda cls: cls.__name__)
@settings(max_examples=20)
@given(data=st.data())
def test_an_event_is_known_by_its_subject(cls: type[Message], data: st.DataObject) -> None:
    event = data.draw(messages(cls))
    for root in ("agentflow", "a.b"):
        subject = event.subject(root)
        assert event_type(subject) is cls
        assert decode_event(subject, event.encode()) == event


@pytest.mark.parametrize(
    "subject", ["", "completed", "agentflow.events.t.e.node.exploded", "node.completed.x", "...."]
)
def test_an_event_of_a_later_release_is_none(subject: str) -> None:
    assert event_type(subject) is None
    assert decode_event(subject, b"whatever") is None


def test_no_two_events_share_a_subject() -> None:
    assert len({cls.SUBJECT for cls in EVENT_TYPES}) == len(EVENT_TYPES)


def test_terminal_events_say_their_status() -> None:
    ends = [cls for cls in EVENT_TYPES if issubclass(cls, ExecutionEnded)]
    assert {cls.STATUS for cls in ends} == {s for s in ExecutionStatus if s.is_terminal}


@pytest.mark.parametrize(
    ("dispatched", "started", "wait", "duration"),
    [
        (None, None, None, None),
        (None, NOW, None, 0.0),
        (NOW, NOW, 0.0, 0.0),
        (datetime(2026, 11, 21, 11, 59, 58, tzinfo=UTC), None, None, None),
        (
            datetime(2026, 11, 21, 11, 59, 58, tzinfo=UTC),
            datetime(2026, 11, 21, 11, 59, 59, tzinfo=UTC),
            1000.0,
            1000.0,
        ),
        (NOW, datetime(2026, 11, 21, 11, 59, 59, tzinfo=UTC), 0.0, 1000.0),
    ],
)
def test_queue_wait_and_duration_of_an_attempt(
    dispatched: datetime | None,
    started: datetime | None,
    wait: float | None,
    duration: float | None,
) -> None:
    """A worker's clock behind the executor's gives 0, never a negative wait."""
    event = completed(dispatched_at=dispatched, started_at=started)
    assert event.queue_wait_ms == wait
    assert event.duration_ms == duration


@pytest.mark.parametrize("bad", ["", "a.b", "a b", "a*", ">", "a\n", "ä", "x" * 129, "\u0000"])
def test_ids_that_would_break_a_subject_are_refused(bad: str) -> None:
    assert not is_token(bad)
    with pytest.raises(ValidationError):
        CancelExecution(execution_id=bad)
    with pytest.raises(ValidationError):
        ExecuteWorkflow(tenant=bad)


@given(tokens)
def test_tokens_are_tokens(token: str) -> None:
    assert is_token(token)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"timeout_seconds": 0}',
        b'{"timeout_seconds": -1}',
        b'{"initial_state": []}',
        b'{"workflow": "text"}',
        b'{"tags": "text"}',
        b'{"timeout_seconds": "NaN"}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_a_command_of_the_wrong_shape_is_a_validation_error(body: bytes) -> None:
    with pytest.raises(ValidationError):
        ExecuteWorkflow.decode(body)


def test_an_error_without_its_required_fields_is_refused() -> None:
    with pytest.raises(ValidationError, match="delay_seconds"):
        NodeRetrying.decode(completed().encode())


def test_audit_and_dead_letter_subjects() -> None:
    record = AuditRecord.model_validate(
        {"tenant": "t", "resource": "auth", "verb": "failed", "occurred_at": NOW}
    )
    assert record.subject() == "agentflow.audit.t.auth.failed"
    letter = DeadLetter.model_validate(
        {
            "tenant": "t",
            "origin_stream": "COMMANDS",
            "origin_subject": "agentflow.commands.t.execute",
            "code": "malformed_json",
            "reason": "…",
            "occurred_at": NOW,
            "payload_base64": "",
        }
    )
    assert letter.subject() == "agentflow.dead.t.COMMANDS"


@settings(max_examples=20)
@given(data=st.data())
def test_every_fold_sees_an_event_on_its_own_subject(data: st.DataObject) -> None:
    event = data.draw(st.sampled_from(EVENT_TYPES).flatmap(messages))
    assert event_of(event.subject(), event.encode()) == event


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        ("agentflow.events.t.e.node.completed", b""),
        ("agentflow.events.t.e.node.completed", b"\xff"),
        ("agentflow.events.t.e.node.completed", b"null"),
        ("agentflow.events.t.e.node.completed", b"[" * 100_000),
        ("agentflow.events.t.other.node.completed", completed().encode()),
        ("agentflow.events.other.e.node.completed", completed().encode()),
        ("agentflow.events.t.e.node.exploded", completed().encode()),
        ("node.completed", completed().encode()),
        ("", completed().encode()),
    ],
)
def test_no_fold_sees_what_cannot_be_read_or_belongs_elsewhere(subject: str, data: bytes) -> None:
    assert event_of(subject, data) is None


def test_a_time_without_a_zone_is_no_time() -> None:
    body = json.loads(completed().encode()) | {"occurred_at": "2026-11-21T12:00:00"}
    assert event_of(completed().subject(), json.dumps(body).encode()) is None
