"""What the walk itself costs: microseconds of CPU per node, no bus, no I/O.

    python benchmarks/walk.py

One line per case: compile of the plan, and start to finish of one execution where every node's
completion is folded and every node's visible state (one key) is computed.
"""

import itertools
import statistics
import time
from datetime import UTC, datetime
from typing import Any

from agentflow.contracts.events import Event, NodeCompleted
from agentflow.contracts.ids import ExecutionId, NodeId, TenantId
from agentflow.contracts.spec import WorkflowSpec
from agentflow.engine import walk
from agentflow.engine.fold import final_state, visible_state
from agentflow.engine.plan import Plan, compile_plan

KEYS = frozenset({"text_result", "user_input"})


def chain(length: int) -> WorkflowSpec:
    ids = [f"n{i}" for i in range(length)]
    return _spec(ids, [{"from": a, "to": b} for a, b in itertools.pairwise(ids)])


def fan(width: int) -> WorkflowSpec:
    """One, then `width` side by side, then one."""
    middle = [f"m{i}" for i in range(width)]
    edges: list[dict[str, Any]] = [{"from": "first", "to": middle}]
    edges += [{"from": m, "to": "last"} for m in middle]
    return _spec(["first", *middle, "last"], edges)


def _spec(ids: list[str], edges: list[dict[str, Any]]) -> WorkflowSpec:
    nodes = [{"id": i, "type": "llm", "metadata": {"prompt": "{user_input}"}} for i in ids]
    return WorkflowSpec.model_validate({"start_node": ids[0], "nodes": nodes, "edges": edges})


def completions(plan: Plan) -> dict[str, Event]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        node_id: NodeCompleted(
            tenant=TenantId("t"),
            execution_id=ExecutionId("e"),
            occurred_at=now,
            node_id=NodeId(node_id),
            node_type="llm",
            output="text",
            output_key="text_result",
            writes={"tokens_used": 3},
        )
        for node_id in plan.order
    }


def run(plan: Plan, events: dict[str, Event]) -> None:
    state, effects = walk.start(plan, {"user_input": "hello"})
    waiting = list(effects)
    while waiting:
        effect = waiting.pop()
        if isinstance(effect, walk.DispatchNode):
            visible_state(state, effect.node_id, KEYS)
            state, effects = walk.decide(state, events[effect.node_id])
            waiting.extend(effects)
    if len(final_state(state)["execution_path"]) != len(plan.nodes):
        raise SystemExit("the walk did not reach every node")


def main() -> None:
    cases = {
        "fan10": (fan(8), 2000),
        "chain10": (chain(10), 2000),
        "wide1000": (fan(998), 20),
        "long1000": (chain(1000), 20),
        "wide10000": (fan(9998), 3),
        "long10000": (chain(10_000), 3),
    }
    for name, (spec, rounds) in cases.items():
        begun = time.perf_counter()
        plan = compile_plan(spec)
        compiled = time.perf_counter() - begun
        events = completions(plan)
        times = []
        for _ in range(rounds):
            begun = time.perf_counter()
            run(plan, events)
            times.append(time.perf_counter() - begun)
        per_node = statistics.median(times) / len(plan.nodes) * 1e6
        print(f"{name:10} compile {compiled * 1e3:8.2f} ms   walk {per_node:6.2f} us/node")


if __name__ == "__main__":
    main()
