"""Doorways: ended executions and audit messages go to the recorder."""

from agentflow.audit.deeds import audit_deed, execution_deed
from agentflow.audit.recorder import Recorder
from agentflow.bus.consumer import Delivery, OnBatch


def on_execution_ends(recorder: Recorder) -> OnBatch:
    """Acknowledged when it returns, after the commit."""

    async def on_execution_ended(deliveries: list[Delivery]) -> None:
        """Record every ended execution as `workflow.executed`."""
        await recorder.record(deliveries, execution_deed)

    return on_execution_ended


def on_audit_records(recorder: Recorder) -> OnBatch:
    """Acknowledged when it returns, after the commit."""

    async def on_audit_record(deliveries: list[Delivery]) -> None:
        """Record what services say was done, e.g. a failed authentication."""
        await recorder.record(deliveries, audit_deed)

    return on_audit_record
