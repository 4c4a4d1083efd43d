"""The cases: each starts from a running split stack and gives one line of figures."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil

from benchmarks import workflows
from benchmarks.bus_client import BusClient, Figures
from benchmarks.rest_client import measure_rest

Line = dict[str, float | str]


@dataclass(frozen=True)
class Target:
    """The stack under measurement."""

    nats_url: str
    gateway_url: str
    api_key: str
    pids: dict[str, list[int]]
    quick: bool = False

    def scaled(self, count: int) -> int:
        """Fewer rounds for a quick look."""
        return max(10, count // 10) if self.quick else count


async def fan10(target: Target) -> Line:
    """Ten remote no-op nodes, 1 → 8 → 1, over the bus."""
    return await _over_the_bus(target, workflows.fan(), nodes=10)


async def chain10(target: Target) -> Line:
    """Ten remote no-op nodes one after the other, over the bus."""
    return await _over_the_bus(target, workflows.chain(), nodes=10)


async def rest_fan10(target: Target) -> Line:
    """The fan through REST with keep-alive, waiting for each result."""
    figures = await measure_rest(
        target.gateway_url,
        target.api_key,
        workflows.fan(),
        alone=target.scaled(100),
        total=target.scaled(3000),
        concurrent=50,
    )
    return _line(figures, nodes=10)


async def rest_pure3(target: Target) -> Line:
    """input → keyword router → aggregator through REST, durable."""
    figures = await measure_rest(
        target.gateway_url,
        target.api_key,
        workflows.pure3(),
        alone=target.scaled(100),
        total=target.scaled(5000),
        concurrent=50,
    )
    return _line(figures, nodes=3)


async def critical_path(target: Target) -> Line:
    """Unequal sleeping branches: elapsed time over the length of the critical path."""
    pauses = (0.1, 0.6, 0.2)
    spec = workflows.sleeping_branches(pauses)
    client = await BusClient.connect(target.nats_url)
    try:
        await client.execute(spec)
        rounds = [await client.execute(spec) for _ in range(3)]
    finally:
        await client.close()
    stages = sum(max(pair) for pair in zip(pauses, pauses[::-1], strict=True))
    shortest = min(rounds)
    return {
        "elapsed_ratio": round(shortest / sum(pauses), 3),
        "barrier_ratio": round(stages / sum(pauses), 3),
    }


async def wide1000(target: Target) -> Line:
    """Cost per node of a fan of 1,000, over that of a fan of eight."""
    return await _per_node(target, workflows.fan(998), workflows.fan(), 1000)


async def long1000(target: Target) -> Line:
    """Cost per node of a chain of 1,000, over that of a chain of ten."""
    return await _per_node(target, workflows.chain(1000), workflows.chain(), 1000)


async def cpu(target: Target) -> Line:
    """Where the time goes: CPU milliseconds per fan10 execution, by process."""
    client = await BusClient.connect(target.nats_url)
    try:
        await client.measure(workflows.fan(), alone=1, total=100, concurrent=50)
        before = _cpu_seconds(target.pids)
        total = target.scaled(3000)
        await client.measure(workflows.fan(), alone=1, total=total, concurrent=100)
        await asyncio.sleep(2)
        after = _cpu_seconds(target.pids)
    finally:
        await client.close()
    spent = {name: (after[name] - before[name]) / total * 1000 for name in before}
    return {f"{name}_ms": round(ms, 2) for name, ms in spent.items()}


def _cpu_seconds(pids: dict[str, list[int]]) -> dict[str, float]:
    def seconds(pid: int) -> float:
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)

    return {name: sum(map(seconds, found)) for name, found in pids.items()}


CASES: dict[str, Callable[[Target], Awaitable[Line]]] = {
    case.__name__: case
    for case in (fan10, chain10, rest_fan10, rest_pure3, critical_path, wide1000, long1000, cpu)
}


async def _over_the_bus(target: Target, spec: dict[str, object], nodes: int) -> Line:
    client = await BusClient.connect(target.nats_url)
    try:
        figures = await client.measure(
            spec, alone=target.scaled(200), total=target.scaled(4000), concurrent=100
        )
    finally:
        await client.close()
    return _line(figures, nodes)


async def _per_node(
    target: Target, large: dict[str, object], small: dict[str, object], nodes: int
) -> Line:
    client = await BusClient.connect(target.nats_url)
    try:
        us_large = await _busy_us(client, large, 8, 4) / nodes
        us_small = await _busy_us(client, small, 800, 40) / 10
    finally:
        await client.close()
    return {
        "us_per_node": round(us_large),
        "us_per_node_of_ten": round(us_small),
        "ratio": round(us_large / us_small, 2),
    }


async def _busy_us(
    client: BusClient, spec: dict[str, object], total: int, concurrent: int
) -> float:
    """Microseconds per execution with the machine busy."""
    await client.execute(spec)
    free = asyncio.Semaphore(concurrent)

    async def one() -> None:
        async with free:
            await client.execute(spec, timeout=120)

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(total)))
    return (time.perf_counter() - began) / total * 1e6


def _line(figures: Figures, nodes: int) -> Line:
    return {
        "alone_p50_ms": round(figures.alone_p50_ms, 2),
        "exec_per_s": round(figures.exec_per_s, 1),
        "nodes_per_s": round(figures.exec_per_s * nodes),
        "loaded_p50_ms": round(figures.loaded_p50_ms, 1),
        "loaded_p99_ms": round(figures.loaded_p99_ms, 1),
    }
