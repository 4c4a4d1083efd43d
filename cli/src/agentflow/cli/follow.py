"""Following one execution over its event stream: `run`, `run --watch`, `executions tail`."""

from contextlib import nullcontext
from typing import Any

from agentflow.cli.client import Gateway, Refused, ServerEvent
from agentflow.cli.dev_file import Target, find_target
from agentflow.cli.inputs import SpecText
from agentflow.cli.live_tree import LiveTree, line_of
from agentflow.cli.output import Output
from agentflow.cli.progress import Progress
from agentflow.cli.spec_check import refusal_of
from agentflow.contracts.ids import ExecutionId
from agentflow.contracts.replies import ExecutionResult
from agentflow.contracts.status import ExecutionStatus


async def run_on_stack(
    target: Target,
    spec: SpecText,
    initial_state: dict[str, Any],
    output: Output,
    *,
    watch: bool,
    timeout: float | None,
) -> ExecutionResult:
    """Execute a workflow on a running stack and follow it to its end."""
    progress = Progress()
    progress.expect(spec.document)
    body = {"workflow": spec.document, "initial_state": initial_state, "timeout_seconds": timeout}
    async with Gateway(target) as gateway:
        try:
            accepted = await gateway.post("/workflows/execute/async", _given(body))
        except Refused as refusal:
            raise refusal_of(spec, refusal, output) from None
        progress.execution_id = accepted["job_id"]
        # Whoever wants to cancel or tail it needs the id now, not at the end.
        output.say(f"{progress.execution_id} accepted")
        with LiveTree(progress, output) if watch else nullcontext() as tree:
            await _hear(gateway, progress, tree)
        final = await gateway.get(f"/jobs/{progress.execution_id}/result")
    return _result(progress, final)


def _given(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


def _result(progress: Progress, final: dict[str, Any]) -> ExecutionResult:
    """The ending as the event told it, with the gateway's state: there large values are whole."""
    ending = progress.ending or {}
    return ExecutionResult(
        execution_id=ExecutionId(progress.execution_id),
        status=ExecutionStatus(progress.status),
        final_state=final.get("final_state") or ending.get("final_state", {}),
        execution_time=(progress.duration_ms or 0.0) / 1000,
        tokens_used=progress.tokens,
        cost=progress.cost,
        error=progress.error,
        warnings=tuple(ending.get("warnings", ())),
    )


async def _hear(gateway: Gateway, progress: Progress, tree: LiveTree | None) -> None:
    async for event in gateway.events(progress.execution_id):
        progress.hear(event.name, event.data)
        if tree is not None:
            tree.update()
        if progress.ended:
            return


async def tail_events(execution_id: str, output: Output, *, as_json: bool) -> None:
    """Print every event of an execution until it ends."""
    progress = Progress(execution_id=execution_id)
    async with Gateway(find_target()) as gateway:
        async for event in gateway.events(execution_id):
            progress.hear(event.name, event.data)
            if as_json:
                output.result({"id": event.id, "event": event.name, "data": event.data})
            else:
                output.paper.print(_line(event, progress), markup=False, soft_wrap=True)
            if progress.ended:
                return


def _line(event: ServerEvent, progress: Progress) -> str:
    time = str(event.data.get("occurred_at", ""))[11:23]
    node_id = event.data.get("node_id")
    told = line_of(progress.rows[node_id]) if node_id in progress.rows else progress.status
    return f"{time:<12} {event.name:<26} {told}"
