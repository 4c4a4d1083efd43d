"""The proxy really misbehaves, and really recovers."""

import asyncio

import pytest

from tests.support.proxy import Proxy
from tests.support.waiting import eventually


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1024):
        writer.write(data)
    writer.close()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> bytes:
    writer.write(text)
    return await asyncio.wait_for(reader.read(100), 5)


async def test_bytes_pass_stall_flow_and_are_cut() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await ask(reader, writer, b"one") == b"one"

        proxy.stall()
        writer.write(b"two")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(100), 0.1)
        proxy.flow()
        assert await asyncio.wait_for(reader.read(100), 5) == b"two"

        proxy.half_open()
        writer.write(b"lost")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(100), 0.1)
        proxy.flow()
        assert await ask(reader, writer, b"three") == b"three"

        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(100), 5)
        writer.close()

        proxy.refuse()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(100), 5)
        writer.close()


async def test_eventually_returns_the_first_true_result_and_says_what_did_not_come() -> None:
    seen = iter([0, None, 7])
    assert await eventually(lambda: next(seen)) == 7
    with pytest.raises(AssertionError, match="the moon is full"):
        await eventually(lambda: False, 0.05, says="the moon is full")
