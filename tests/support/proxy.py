"""A TCP proxy that misbehaves on command: delays, stalls, cuts, half-opens.

Sits between a client and a real server, so what fails is the network and nothing else.
Changes hold for open connections at once.
"""

import asyncio
import contextlib
import socket
import struct
from types import TracebackType
from typing import Self

CHUNK = 64 * 1024


class Proxy:
    """`async with Proxy("127.0.0.1", 4222) as proxy: proxy.port`. Times in seconds."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._dropping = False
        self.delay = 0.0
        """Each chunk is held this long, in both directions."""
        self.port = 0
        self.connections = 0
        """Connections taken so far."""

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._on_client, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # closing sockets takes the loop one more turn

    def stall(self) -> None:
        """Nothing flows any more; connections stay open and bytes wait."""
        self._flowing.clear()

    def flow(self) -> None:
        """Back to normal: after stall, half_open or refuse."""
        self._refusing = False
        self._dropping = False
        self._flowing.set()

    def half_open(self) -> None:
        """Bytes vanish in both directions and nobody is told: a dead peer behind a router."""
        self._dropping = True

    def cut(self) -> None:
        """Reset every open connection; new ones are still taken."""
        for writer in list(self._writers):
            _reset(writer)

    def refuse(self) -> None:
        """Reset every connection, open ones and new ones."""
        self._refusing = True
        self.cut()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _reset(writer)
            return
        self.connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        up: asyncio.StreamWriter | None = None
        try:
            down, up = await asyncio.open_connection(*self._target)
            self._writers |= {writer, up}
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, up))
                both.create_task(self._pump(down, writer))
        except* (OSError, asyncio.CancelledError):
            pass  # one side is gone, or the proxy stops
        finally:
            for end in (writer, up):
                if end is not None:
                    self._writers.discard(end)
                    with contextlib.suppress(OSError, RuntimeError):
                        end.close()
            if task is not None:
                self._tasks.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._flowing.wait()
            if self._dropping:
                continue
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError("one side has closed")


def _reset(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN: the peer learns at once and unkindly."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
