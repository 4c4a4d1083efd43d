"""Messages as deeds: who did what and how it went, and nothing a workflow said."""

import pytest

from agentflow.audit.deeds import audit_deed, execution_deed
from agentflow.audit.errors import MalformedRecord
from agentflow.contracts.audits import AuditRecord
from agentflow.contracts.problem import NodeError
from tests.support.events import START, Story

CANARY = "sk-canary-0123456789"


def test_an_ended_execution_is_workflow_executed() -> None:
    error = NodeError(code="auth", message=CANARY, node_id="a")
    story = Story().failed(
        error=error,
        final_state={"secret": CANARY},
        workflow_name="triage",
        requested_by="ann",
        warnings=(CANARY,),
    )
    event = story.events[0]
    deed = execution_deed(event.subject(), event.encode(), 7)
    assert (deed.tenant, deed.record.resource, deed.record.verb) == ("acme", "workflow", "executed")
    assert (deed.record.actor, deed.record.resource_id) == ("ann", "exec_1")
    assert deed.record.occurred_at == START
    assert deed.record.details == {
        "status": "FAILED",
        "workflow_name": "triage",
        "duration_ms": 12.5,
        "tokens_used": 0,
        "tags": [],
        "error_code": "auth",
        "error_node": "a",
    }
    assert CANARY not in repr(deed)


def test_an_event_that_is_no_end_is_refused() -> None:
    event = Story().started().events[0]
    with pytest.raises(MalformedRecord, match="not the end"):
        execution_deed(event.subject(), event.encode(), 1)


def test_an_end_cannot_be_put_on_another_tenants_account() -> None:
    event = Story("evil").completed().events[0]
    with pytest.raises(MalformedRecord, match="The body says"):
        execution_deed(event.subject().replace(".evil.", ".acme."), event.encode(), 1)


def told(**fields: object) -> AuditRecord:
    values = {
        "tenant": "acme",
        "resource": "auth",
        "verb": "failed",
        "occurred_at": START,
        "client_address": "10.0.0.1",
        "details": {"reason": "unknown"},
        **fields,
    }
    return AuditRecord.model_validate(values)


def test_an_audit_message_is_recorded_as_it_is() -> None:
    record = told()
    deed = audit_deed(record.subject(), record.encode(), 3)
    assert (deed.record.resource, deed.record.verb) == ("auth", "failed")
    assert deed.record.details == {"reason": "unknown"}
    assert deed.record.client_address == "10.0.0.1"


@pytest.mark.parametrize("field", ["tenant", "resource", "verb"])
def test_a_body_that_contradicts_its_subject_is_refused(field: str) -> None:
    record = told(**{field: "other"})
    with pytest.raises(MalformedRecord, match="The body says"):
        audit_deed(told().subject(), record.encode(), 3)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"tenant": 3}'])
def test_what_is_no_record_is_refused_with_the_reason(body: bytes) -> None:
    with pytest.raises(MalformedRecord, match="AuditRecord"):
        audit_deed("agentflow.audit.acme.auth.failed", body, 1)


def test_a_time_without_a_zone_is_refused() -> None:
    body = told().encode().replace(b"00:00Z", b"00:00")
    assert body != told().encode()
    with pytest.raises(MalformedRecord, match="timezone"):
        audit_deed(told().subject(), body, 1)


def test_the_same_message_has_the_same_id_and_another_has_another() -> None:
    record = told()
    one = audit_deed(record.subject(), record.encode(), 3).record.record_id
    assert audit_deed(record.subject(), record.encode(), 3).record.record_id == one
    assert audit_deed(record.subject(), record.encode(), 4).record.record_id != one
