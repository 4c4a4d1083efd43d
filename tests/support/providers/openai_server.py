"""A server that speaks OpenAI's chat completions protocol over real loopback HTTP.

What it does next is scripted: a queue of behaviours, one per request, then echoing answers.
Shapes and codes are those of the API reference; nothing of our product is in here.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from tests.support.providers.http_server import Connection, HttpServer, Request

Behaviour = Callable[[Request, Connection], Awaitable[None]]


class OpenAIServer(HttpServer):
    """`base_url` ends in /v1; `key`: the only accepted bearer token, None for any."""

    def __init__(self, key: str | None = None) -> None:
        super().__init__()
        self.key = key
        self.script: deque[Behaviour] = deque()

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def prompts(self) -> list[str]:
        """The last message of each request."""
        return [request.json()["messages"][-1]["content"] for request in self.requests]

    async def handle(self, request: Request, connection: Connection) -> None:
        if self.key is not None and request.headers.get("authorization") != f"Bearer {self.key}":
            quoted = request.headers.get("authorization", "")
            await failing(401, f"Incorrect API key provided: {quoted}", "invalid_api_key")(
                request, connection
            )
            return
        if (request.method, request.path) != ("POST", "/v1/chat/completions"):
            await connection.answer(404, error_body("Unknown request URL", None))
            return
        behaviour = self.script.popleft() if self.script else saying(None)
        await behaviour(request, connection)


def completion(request: Request, text: str, **more: Any) -> dict[str, Any]:
    """A chat.completion object; token counts are word counts."""
    asked = request.json()
    prompt_tokens = sum(len(str(m["content"]).split()) for m in asked["messages"])
    completion_tokens = len(text.split())
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": more.get("model", asked["model"]),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": more.get("finish_reason", "stop"),
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": more.get("cached_tokens", 0)},
        },
    }


def error_body(message: str, code: str | None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def saying(text: str | None, **more: Any) -> Behaviour:
    """Answer with `text`; None: an echo of the prompt."""

    async def behave(request: Request, connection: Connection) -> None:
        said = text if text is not None else f"echo: {request.json()['messages'][-1]['content']}"
        await connection.answer(200, completion(request, said, **more))

    return behave


def failing(status: int, message: str, code: str | None = None, **headers: str) -> Behaviour:
    """An error of the API."""

    async def behave(request: Request, connection: Connection) -> None:
        await connection.answer(status, error_body(message, code), **headers)

    return behave


def answering(body: bytes, content_type: str = "application/json") -> Behaviour:
    """Any body at all, with status 200."""

    async def behave(request: Request, connection: Connection) -> None:
        await connection.answer(200, body, content_type=content_type)

    return behave


def hanging() -> Behaviour:
    """Accept the request and say nothing until the client hangs up."""

    async def behave(request: Request, connection: Connection) -> None:
        await connection.wait_hung_up()

    return behave


def dripping(interval: float) -> Behaviour:
    """A body that comes one byte at a time and never ends."""

    async def behave(request: Request, connection: Connection) -> None:
        await connection.head(1_000_000)
        while not connection.hung_up.is_set():
            await connection.send(b" ")
            await asyncio.sleep(interval)

    return behave


def cutting(after: int) -> Behaviour:
    """Close the connection after so many bytes of a good answer."""

    async def behave(request: Request, connection: Connection) -> None:
        body = json.dumps(completion(request, "this is never read to its end")).encode()
        await connection.head(len(body))
        await connection.send(body[:after])
        connection.writer.close()

    return behave


def flooding(megabytes: int) -> Behaviour:
    """A body of that size, sent as fast as it is taken."""

    async def behave(request: Request, connection: Connection) -> None:
        await connection.head(megabytes * 2**20)
        piece = b" " * 2**20
        for _ in range(megabytes):
            await connection.send(piece)

    return behave
