"""Runs a workflow in this process: on LangGraph, or on the walk with tasks for workers.

Both use the real node workers and the same plain rule for retries, without waiting between
attempts. Neither is what production runs; they are held against it.
"""

import asyncio
import uuid
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.events import NodeCompleted, NodeSkipped
from agentflow.contracts.events import NodeFailed as NodeFailedEvent
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Node, WorkflowSpec
from agentflow.engine.fold import final_state, visible_state
from agentflow.engine.graph import run_to_end
from agentflow.engine.plan import compile_plan
from agentflow.engine.walk import (
    DispatchNode,
    Effect,
    Finish,
    LoadValues,
    RecordSkipped,
    RunHere,
    WalkState,
    decide,
    start,
)
from agentflow.node_workers.runner import NodeRunner
from tests.support.examples import Ending

Spec = dict[str, Any] | WorkflowSpec


class Workers:
    """Runs nodes of one workflow as often as their retry policy says."""

    def __init__(self, runner: NodeRunner, spec: WorkflowSpec) -> None:
        self._runner = runner
        self._spec = spec
        self._execution = uuid.uuid4().hex

    async def run(self, node: Node, state: dict[str, Any]) -> NodeResult:
        source = self._spec.source(node.source_id) if node.source_id else None
        attempt = 1
        while True:
            try:
                return await self._runner.run(
                    node,
                    source,
                    state,
                    effect_key=f"{self._execution}.{node.id}",
                    timeout=node.timeout_seconds or 30,
                )
            except NodeFailed as failure:
                named = not node.retry.on or failure.error_code in node.retry.on
                again = failure.retryable and named
                if not again or attempt >= node.retry.max_attempts:
                    raise
                attempt += 1


async def run_on_langgraph(spec: Spec, initial: Mapping[str, Any], runner: NodeRunner) -> Ending:
    model = WorkflowSpec.model_validate(spec)
    run = await run_to_end(model, initial, Workers(runner, model).run)
    return Ending(str(run.status), run.final_state, run.error.code if run.error else None)


async def run_on_walk(spec: Spec, initial: Mapping[str, Any], runner: NodeRunner) -> Ending:
    """Every node is a task of its own; completions are folded in as they come."""
    model = WorkflowSpec.model_validate(spec)
    walk, effects = start(compile_plan(model), dict(initial))
    workers = Workers(runner, model)
    running: set[asyncio.Task[Any]] = set()
    waiting: deque[Effect] = deque(effects)
    try:
        while True:
            while waiting:
                effect = waiting.popleft()
                if isinstance(effect, Finish):
                    error = effect.error.code if effect.error else None
                    return Ending(str(effect.status), final_state(walk), error)
                if isinstance(effect, RecordSkipped):
                    waiting += _fold(walk, _skipped(effect))
                elif isinstance(effect, LoadValues):
                    raise AssertionError("nothing is stored by reference here")
                else:
                    running.add(asyncio.create_task(_run(walk, effect, workers)))
            assert running, "the walk waits for nothing and is not finished"
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                waiting += _fold(walk, task.result())
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _fold(walk: WalkState, event: Any) -> list[Effect]:
    return decide(walk, event)[1]


async def _run(walk: WalkState, effect: DispatchNode | RunHere, workers: Workers) -> Any:
    node = walk.plan.node(effect.node_id).node
    keys = walk.plan.reads(effect.node_id)
    seen = visible_state(walk, effect.node_id, keys)
    try:
        result = await workers.run(node, seen)
    except NodeFailed as failure:
        error = failure.to_node_error(node.id)
        return NodeFailedEvent(**_common(node.id, node.type), error=error)
    return NodeCompleted(
        **_common(node.id, node.type),
        output=result.output,
        output_key=result.output_key,
        writes=result.writes,
        usage=result.usage,
        warnings=result.warnings,
    )


def _skipped(effect: RecordSkipped) -> NodeSkipped:
    return NodeSkipped(**_common(effect.node_id, "any"), reason=effect.reason)


def _common(node_id: str, node_type: str) -> dict[str, Any]:
    return {
        "tenant": "default",
        "execution_id": "exec_test",
        "occurred_at": datetime.now(UTC),
        "node_id": node_id,
        "node_type": node_type,
    }
