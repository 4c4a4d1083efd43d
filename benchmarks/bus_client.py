"""A client that drives executions over the bus, as any direct publisher would."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import Any, Self

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

TENANT = "bench"


@dataclass(frozen=True)
class Figures:
    """What one case gave. Times in milliseconds."""

    alone_p50_ms: float
    exec_per_s: float
    loaded_p50_ms: float
    loaded_p99_ms: float


class BusClient:
    """Publishes execute commands and waits for their results on one inbox."""

    def __init__(self, nc: Client, prefix: str = "agentflow") -> None:
        self._nc = nc
        self._js = nc.jetstream()
        self._subject = f"{prefix}.commands.{TENANT}.execute"
        self._inbox = nc.new_inbox()
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0

    @classmethod
    async def connect(cls, url: str) -> Self:
        client = cls(await nats.connect(url))
        await client._nc.subscribe(f"{client._inbox}.*", cb=client._on_reply)
        return client

    async def close(self) -> None:
        await self._nc.close()

    async def execute(
        self, workflow: dict[str, Any], state: dict[str, Any] | None = None, timeout: float = 60
    ) -> float:
        """Run one execution to its end; the seconds it took. Raises unless it completed."""
        self._count += 1
        token = str(self._count)
        future = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
        body = orjson.dumps(
            {
                "workflow": workflow,
                "initial_state": state or {"user_input": "refund"},
                "reply_to": f"{self._inbox}.{token}",
            }
        )
        began = time.perf_counter()
        await self._js.publish(self._subject, body)
        result = await asyncio.wait_for(future, timeout)
        if result.get("status") != "COMPLETED":
            raise RuntimeError(f"not completed: {result}")
        return time.perf_counter() - began

    async def measure(
        self, workflow: dict[str, Any], *, alone: int, total: int, concurrent: int
    ) -> Figures:
        """`alone` executions one by one, then `total` of them with `concurrent` in flight."""
        for _ in range(5):
            await self.execute(workflow)
        lonely = [await self.execute(workflow) for _ in range(alone)]
        free = asyncio.Semaphore(concurrent)

        async def one() -> float:
            async with free:
                return await self.execute(workflow)

        began = time.perf_counter()
        times = sorted(await asyncio.gather(*(one() for _ in range(total))))
        elapsed = time.perf_counter() - began
        return Figures(
            alone_p50_ms=statistics.median(lonely) * 1000,
            exec_per_s=total / elapsed,
            loaded_p50_ms=statistics.median(times) * 1000,
            loaded_p99_ms=times[int(total * 0.99)] * 1000,
        )

    async def _on_reply(self, msg: Msg) -> None:
        if b'"kind":"accepted"' in msg.data[:40]:
            return
        future = self._waiting.pop(msg.subject.rpartition(".")[2], None)
        if future is not None and not future.done():
            future.set_result(orjson.loads(msg.data))
