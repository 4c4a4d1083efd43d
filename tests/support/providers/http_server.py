"""A small HTTP/1.1 server on loopback whose handlers may misbehave in any way.

It records every request and every client that hung up before its answer was finished. A
handler gets the request and the connection; it answers properly with `Connection.answer`
or writes whatever it likes.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

REASONS = {200: "OK", 204: "No Content", 302: "Found", 400: "Bad Request", 500: "Server Error"}


@dataclass(frozen=True)
class Request:
    """One request as it came. Header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Connection:
    """The server's end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(
        self,
        status: int,
        body: bytes | str | dict[str, Any] | list[Any] = b"",
        *,
        content_type: str = "application/json",
        **headers: str,
    ) -> None:
        """A complete answer. Header names: underscores become hyphens."""
        raw = body if isinstance(body, bytes) else _text(body).encode()
        lines = [
            f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}",
            f"content-type: {content_type}",
            f"content-length: {len(raw)}",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        self.writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + raw)
        await self.writer.drain()

    async def head(self, length: int | None = None, *lines: str) -> None:
        """Only the head of an answer; without a length it ends with the connection."""
        framing = f"content-length: {length}" if length is not None else "connection: close"
        head = ["HTTP/1.1 200 OK", "content-type: application/json", framing, *lines]
        self.writer.write("\r\n".join(head).encode() + b"\r\n\r\n")
        await self.writer.drain()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def wait_hung_up(self) -> None:
        """Until the client closes its end."""
        await self.hung_up.wait()


Handler = Callable[[Request, Connection], Awaitable[None]]


class HttpServer:
    """`async with HttpServer(handler) as server: server.url`."""

    def __init__(self, handler: Handler | None = None) -> None:
        self.handler = handler
        self.requests: list[Request] = []
        self.connections = 0
        self.disconnects = 0
        """Clients that hung up while their answer was being made."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def handle(self, request: Request, connection: Connection) -> None:
        """Answer one request; subclasses or `handler` say how."""
        assert self.handler is not None
        await self.handler(request, connection)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**20)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()  # what a client never read would keep its socket open
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._handle(request, Connection(reader, writer)):
                    return
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            with contextlib.suppress(ConnectionError, RuntimeError):
                writer.close()

    async def _handle(self, request: Request, connection: Connection) -> bool:
        """Run the handler, watching the client; False ends the connection."""
        watching = asyncio.create_task(self._watch(connection))
        handling = asyncio.create_task(self._answer(request, connection))
        self._tasks.add(handling)
        try:
            await asyncio.wait({watching, handling}, return_when=asyncio.FIRST_COMPLETED)
            if connection.hung_up.is_set() and not handling.done():
                # A handler that waits for this very moment may go on.
                await asyncio.wait({handling}, timeout=1)
                return False
            await handling
            return not connection.writer.is_closing()
        finally:
            watching.cancel()
            handling.cancel()
            await asyncio.gather(watching, handling, return_exceptions=True)
            self._tasks.discard(handling)

    async def _watch(self, connection: Connection) -> None:
        """A client that pipelines nothing sends nothing more: end of input means it hung up."""
        while not connection.reader.at_eof():
            if connection.reader._buffer:  # type: ignore[attr-defined]  # asyncio has no peek
                return
            await asyncio.sleep(0.01)
        self._hung_up(connection)

    async def _answer(self, request: Request, connection: Connection) -> None:
        """A handler that is writing may find out before the watch does."""
        try:
            await self.handle(request, connection)
        except ConnectionError:
            self._hung_up(connection)

    def _hung_up(self, connection: Connection) -> None:
        if not connection.hung_up.is_set():
            self.disconnects += 1
            connection.hung_up.set()


async def _read(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)


def _text(body: str | dict[str, Any] | list[Any]) -> str:
    return body if isinstance(body, str) else json.dumps(body)
