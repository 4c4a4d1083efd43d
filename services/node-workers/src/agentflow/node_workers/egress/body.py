"""A response body that ends in an error once it grows beyond its cap.

What counts is the size after decompression, and decompression itself is done in small
pieces: a bomb is noticed at the cap, not in memory.
"""

import zlib
from collections.abc import AsyncIterator

import httpx2

from agentflow.contracts.errors import NodeFailed

_PIECE = 64 * 1024


class BodyTooLarge(NodeFailed):
    """The answer is larger than a node may take."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            "payload_too_large",
            f"The answer is larger than {limit:,} bytes and was cut off.",
            hint="Ask for less: a page, a filter, fewer fields.",
        )


class BoundedBody(httpx2.AsyncByteStream):
    """Decodes gzip and deflate, counts, and closes what it reads from."""

    def __init__(
        self,
        stream: httpx2.SyncByteStream | httpx2.AsyncByteStream,
        headers: httpx2.Headers,
        limit: int,
    ) -> None:
        if not isinstance(stream, httpx2.AsyncByteStream):
            raise TypeError("an asynchronous body is needed")
        self._stream = stream
        self._limit = limit
        self._encoding = headers.get("content-encoding", "identity").strip().lower()
        length = headers.get("content-length", "")
        self._announced = int(length) if length.isascii() and length.isdigit() else 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._announced > self._limit:
            raise BodyTooLarge(self._limit)
        total = 0
        async for piece in self._decoded():
            total += len(piece)
            if total > self._limit:
                raise BodyTooLarge(self._limit)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def _decoded(self) -> AsyncIterator[bytes]:
        if self._encoding in ("", "identity"):
            async for piece in self._stream:
                yield piece
            return
        if self._encoding not in ("gzip", "x-gzip", "deflate"):
            raise NodeFailed(
                "bad_output",
                f"The answer is compressed with {self._encoding[:40]!r}, which was not asked for.",
            )
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:
            async for packed in self._stream:
                data = packed
                while data and not unpacker.eof:
                    yield unpacker.decompress(data, _PIECE)
                    data = unpacker.unconsumed_tail
        except zlib.error:
            raise NodeFailed("bad_output", "The answer's compression is broken.") from None
