"""A client that drives executions through REST with keep-alive.

Bare asyncio streams: a full HTTP client would take more of the two cores than the gateway.
"""

import asyncio
import statistics
import time
from typing import Any
from urllib.parse import urlsplit

import orjson

from benchmarks.bus_client import Figures


class RestConnection:
    """One keep-alive connection, one request at a time."""

    def __init__(self, url: str, api_key: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._key = api_key
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nX-API-Key: {self._key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        status = int(answer[9:12])
        lengths = [
            line.partition(b":")[2]
            for line in answer.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        return status, await self._reader.readexactly(int(lengths[0]))


async def measure_rest(
    url: str, api_key: str, workflow: dict[str, Any], *, alone: int, total: int, concurrent: int
) -> Figures:
    """The same measure as over the bus, through POST /api/v1/workflows/execute."""
    body = orjson.dumps({"workflow": workflow, "initial_state": {"user_input": "refund please"}})

    async def execute(connection: RestConnection) -> float:
        began = time.perf_counter()
        status, answer = await connection.post("/api/v1/workflows/execute", body)
        if status != 200 or b'"success"' not in answer:
            raise RuntimeError(f"{status}: {answer[:500]!r}")
        return time.perf_counter() - began

    connections = [RestConnection(url, api_key) for _ in range(concurrent)]
    for connection in connections:
        await connection.open()
    for _ in range(5):
        await execute(connections[0])
    lonely = [await execute(connections[0]) for _ in range(alone)]
    left = iter(range(total))

    async def drive(connection: RestConnection) -> list[float]:
        return [await execute(connection) for _ in left]

    began = time.perf_counter()
    times = sorted(t for one in await asyncio.gather(*map(drive, connections)) for t in one)
    elapsed = time.perf_counter() - began
    for connection in connections:
        await connection.close()
    return Figures(
        alone_p50_ms=statistics.median(lonely) * 1000,
        exec_per_s=total / elapsed,
        loaded_p50_ms=statistics.median(times) * 1000,
        loaded_p99_ms=times[int(len(times) * 0.99)] * 1000,
    )
