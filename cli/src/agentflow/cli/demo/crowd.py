"""Sends many executions through the gateway at once and waits for every one of them."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentflow.cli.client import Gateway
from agentflow.cli.errors import InvalidInput

AT_ONCE = 32
WAIT_SECONDS = 60


@dataclass(frozen=True)
class Input:
    """One line of an inputs file; `expect` are fields of final_output, where known."""

    initial_state: dict[str, Any]
    expect: dict[str, Any]
    document: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How one execution ended. `milliseconds` as the caller saw it."""

    input: Input
    status: str
    final_state: dict[str, Any]
    milliseconds: float
    error: dict[str, Any] | None

    @property
    def completed(self) -> bool:
        return self.status == "COMPLETED"

    @property
    def output(self) -> dict[str, Any]:
        """`final_output` as an object; empty where it is something else."""
        output = self.final_state.get("final_output")
        return output if isinstance(output, dict) else {}


@dataclass(frozen=True)
class Crowd:
    """All outcomes in the order of the inputs, and how long the whole took."""

    outcomes: list[Outcome]
    seconds: float

    @property
    def per_second(self) -> float:
        return len(self.outcomes) / self.seconds if self.seconds else 0.0


def read_inputs(path: Path) -> list[Input]:
    """One JSON object per line; raises InvalidInput with the line number."""
    inputs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            document = json.loads(line)
            state = document["initial_state"]
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{path} line {number} is not an input: {error!r}.") from None
        inputs.append(Input(state, document.get("expect", {}), document))
    return inputs


async def run_all(
    gateway: Gateway,
    workflow: dict[str, Any],
    inputs: list[Input],
    on_done: Callable[[], None],
) -> Crowd:
    """Execute `workflow` once per input, `AT_ONCE` at a time."""
    doors = asyncio.Semaphore(AT_ONCE)

    async def one(item: Input) -> Outcome:
        async with doors:
            outcome = await run_one(gateway, workflow, item)
        on_done()
        return outcome

    start = time.perf_counter()
    outcomes = await asyncio.gather(*(one(item) for item in inputs))
    return Crowd(outcomes, time.perf_counter() - start)


async def run_one(gateway: Gateway, workflow: dict[str, Any], item: Input) -> Outcome:
    """Execute once and wait for the end."""
    start = time.perf_counter()
    body = {"workflow": workflow, "initial_state": item.initial_state}
    answer = await gateway.post("/workflows/execute", body, wait=WAIT_SECONDS)
    return Outcome(
        input=item,
        status=str(answer.get("execution_status")),
        final_state=answer.get("final_state") or {},
        milliseconds=(time.perf_counter() - start) * 1000,
        error=answer.get("error"),
    )
