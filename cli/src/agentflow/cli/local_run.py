"""`run --local`: the same workflow in this process on LangGraph, with no bus and no server.

The nodes are run by the same code as in the fleet, with the same retries and timeouts. What
the fleet does with stored sources and durable values is not there: sources are inline.
"""

import asyncio
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any

from agentflow.cli.embedded.addresses import AT_HOME
from agentflow.cli.embedded.environment import lent, missing_from
from agentflow.cli.inputs import SpecText
from agentflow.cli.live_tree import LiveTree
from agentflow.cli.output import Output
from agentflow.cli.progress import Progress
from agentflow.cli.session import quiet_logs
from agentflow.cli.spec_check import require_valid
from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.ids import ExecutionId
from agentflow.contracts.problem import NodeError
from agentflow.contracts.replies import ExecutionResult
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node, WorkflowSpec
from agentflow.contracts.status import ExecutionStatus
from agentflow.node_workers.app import make_runner
from agentflow.node_workers.local import run_with_retries
from agentflow.node_workers.runner import NodeRunner, NodeTimeout
from agentflow.node_workers.settings import WorkersSettings

EXECUTION_ID = ExecutionId("local")
TERMINAL_EVENT = {
    ExecutionStatus.COMPLETED: "execution.completed",
    ExecutionStatus.FAILED: "execution.failed",
    ExecutionStatus.TIMED_OUT: "execution.timed_out",
}


async def run_locally(
    text: SpecText,
    initial_state: dict[str, Any],
    output: Output,
    *,
    watch: bool,
    timeout: float | None,
) -> ExecutionResult:
    """Run a spec to its end in this process; raises InvalidInput for a spec with errors."""
    spec = require_valid(text, output)
    quiet_logs()
    with lent(missing_from(AT_HOME)):
        settings = WorkersSettings()
        runner = make_runner(settings)
    progress = Progress(execution_id=EXECUTION_ID, workflow_name=spec.name)
    progress.expect(text.document)
    try:
        with LiveTree(progress, output) if watch else nullcontext() as tree:
            run = _LocalRun(spec, runner, settings, progress, tree)
            return await run.to_end(initial_state, timeout)
    finally:
        await runner.aclose()


class _LocalRun:
    """One run; tells its progress in the words of the event log."""

    def __init__(
        self,
        spec: WorkflowSpec,
        runner: NodeRunner,
        settings: WorkersSettings,
        progress: Progress,
        tree: LiveTree | None,
    ) -> None:
        self._spec = spec
        self._runner = runner
        self._settings = settings
        self._progress = progress
        self._tree = tree
        self._attempts: dict[str, int] = {}

    async def to_end(self, initial_state: dict[str, Any], timeout: float | None) -> ExecutionResult:
        from agentflow.engine.graph import run_to_end

        deadline = timeout or self._spec.timeout_seconds
        start = time.perf_counter()
        self._tell("execution.started", workflow_name=self._spec.name)
        try:
            async with asyncio.timeout(deadline):
                run = await run_to_end(self._spec, initial_state, self._run_node)
            status, state, error = run.status, run.final_state, run.error
        except TimeoutError:
            status, state, error = ExecutionStatus.TIMED_OUT, dict(initial_state), _late(deadline)
        seconds = time.perf_counter() - start
        tokens, cost = state.get("tokens_used", 0), state.get("cost")
        self._tell(
            TERMINAL_EVENT[status], duration_ms=seconds * 1000, tokens_used=tokens, cost=cost
        )
        return ExecutionResult(
            execution_id=EXECUTION_ID,
            status=status,
            final_state=state,
            execution_time=seconds,
            tokens_used=tokens,
            cost=cost,
            error=error,
        )

    async def _run_node(self, node: Node, state: dict[str, Any]) -> NodeResult:
        source = self._spec.source(node.source_id) if node.source_id else None
        started = datetime.now(UTC).isoformat()
        told = {"node_id": node.id, "node_type": node.type, "started_at": started}
        self._tell("node.started", attempt=1, dispatched_at=started, **told)
        try:
            result = await run_with_retries(
                self._runner,
                node,
                source,
                state,
                effect_key=f"{EXECUTION_ID}.{node.id}",
                timeout=self._settings.node_timeout_seconds,
                on_retry=self._on_retry,
            )
        except NodeFailed as failure:
            name = "node.timed_out" if isinstance(failure, NodeTimeout) else "node.failed"
            error = failure.to_node_error(node.id, self._attempt(node.id))
            self._tell(name, error=error.model_dump(), attempt=self._attempt(node.id), **told)
            raise
        usage = result.usage.model_dump() if result.usage else None
        warnings = list(result.warnings)
        attempt = self._attempt(node.id)
        self._tell("node.completed", usage=usage, warnings=warnings, attempt=attempt, **told)
        return result

    def _on_retry(self, node: Node, attempt: int, failure: NodeFailed, delay: float) -> None:
        self._attempts[node.id] = attempt + 1
        error = failure.to_node_error(node.id, attempt).model_dump()
        self._tell(
            "node.retrying", node_id=node.id, attempt=attempt, error=error, delay_seconds=delay
        )

    def _attempt(self, node_id: str) -> int:
        return self._attempts.get(node_id, 1)

    def _tell(self, name: str, **fields: Any) -> None:
        now = datetime.now(UTC).isoformat()
        self._progress.hear(name, {"execution_id": EXECUTION_ID, "occurred_at": now, **fields})
        if self._tree is not None:
            self._tree.update()


def _late(seconds: float | None) -> NodeError:
    return NodeError(
        code="execution_timeout",
        message=f"The execution was cut after {seconds:g} seconds.",
        hint="Raise timeout_seconds, or see with --watch which node takes long.",
    )
