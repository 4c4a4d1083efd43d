"""Provider `openai`: the official SDK, for OpenAI and every server that speaks its protocol.

The SDK retries nothing (one layer above does), gets its key from us alone, and connects
through the egress guard. Nothing is picked up from the environment.
"""

import asyncio
from typing import Any

import httpx2
import openai
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion

from agentflow.contracts.errors import NodeFailed
from agentflow.node_workers.llm.openai_errors import failure_of
from agentflow.node_workers.llm.provider import LlmAnswer, LlmRequest

IDEMPOTENCY_KEY = "Idempotency-Key"


class OpenAIProvider:
    """Chat completions over one client. `name` is the provider id of the price list."""

    def __init__(
        self,
        *,
        name: str,
        source_id: str,
        base_url: httpx2.URL,
        api_key: str,
        http_client: httpx2.AsyncClient,
    ) -> None:
        self.name = name
        self._source_id = source_id
        self._client = _client(base_url, api_key, http_client)

    async def complete(self, request: LlmRequest) -> LlmAnswer:
        """One chat completion; raises NodeFailed."""
        try:
            async with asyncio.timeout(request.timeout):
                completion = await self._ask(request)
        except TimeoutError:
            raise self._too_slow(request) from None
        except openai.OpenAIError as error:
            raise failure_of(error, self._source_id, request.model) from None
        except ValueError:
            # The SDK lets a body that is announced as JSON and is none through as it is.
            raise self._unreadable(request) from None
        return self._answer(completion, request)

    async def aclose(self) -> None:
        await self._client.close()

    async def _ask(self, request: LlmRequest) -> ChatCompletion:
        extra: dict[str, Any] = dict(request.options)
        if (form := _response_format(request)) is not None:
            extra["response_format"] = form
        completion: ChatCompletion = await self._client.chat.completions.create(
            model=request.model,
            messages=_messages(request),
            extra_headers={IDEMPOTENCY_KEY: request.effect_key},
            timeout=request.timeout,
            **extra,
        )
        return completion

    def _answer(self, completion: Any, request: LlmRequest) -> LlmAnswer:
        """Servers that only imitate the protocol may send any shape: nothing is believed."""
        choices = getattr(completion, "choices", None)
        if not isinstance(completion, ChatCompletion) or not choices:
            raise self._unreadable(request)
        choice = choices[0]
        message = getattr(choice, "message", None)
        if getattr(message, "refusal", None) or choice.finish_reason == "content_filter":
            raise NodeFailed(
                "content_filtered", f"The source {self._source_id!r} filtered its answer."
            )
        text = getattr(message, "content", None)
        if not isinstance(text, str):
            raise self._unreadable(request)
        usage = completion.usage
        details = getattr(usage, "prompt_tokens_details", None)
        return LlmAnswer(
            text=text,
            model=completion.model or request.model,
            finish_reason=choice.finish_reason,
            prompt_tokens=_count(usage, "prompt_tokens"),
            cached_tokens=_count(details, "cached_tokens"),
            completion_tokens=_count(usage, "completion_tokens"),
        )

    def _too_slow(self, request: LlmRequest) -> NodeFailed:
        return NodeFailed(
            "timeout",
            f"The source {self._source_id!r} (model {request.model!r}) did not answer within "
            f"{request.timeout:g} seconds.",
            retryable=True,
        )

    def _unreadable(self, request: LlmRequest) -> NodeFailed:
        return NodeFailed(
            "bad_output",
            f"The source {self._source_id!r} (model {request.model!r}) did not answer with a "
            "chat completion.",
            hint="Does base_url end where the protocol begins, usually in /v1?",
        )


def _client(base_url: httpx2.URL, api_key: str, http_client: httpx2.AsyncClient) -> AsyncOpenAI:
    """A client that ignores OPENAI_* of the environment: given empty, then cleared."""
    client = AsyncOpenAI(
        api_key=api_key,
        admin_api_key="",
        organization="",
        project="",
        webhook_secret="",
        base_url=base_url,
        max_retries=0,
        http_client=http_client,
    )
    client.organization = None
    client.project = None
    client.admin_api_key = None
    # OPENAI_CUSTOM_HEADERS would send the operator's headers to any tenant's base_url.
    client._custom_headers = {}  # noqa: SLF001 - the SDK has no switch for it; a test watches
    return client


def _messages(request: LlmRequest) -> Any:
    messages = [{"role": "user", "content": request.prompt}]
    if request.system_prompt:
        messages.insert(0, {"role": "system", "content": request.system_prompt})
    return messages


def _response_format(request: LlmRequest) -> dict[str, Any] | None:
    if request.response_schema is not None:
        schema = {"name": "answer", "schema": request.response_schema}
        return {"type": "json_schema", "json_schema": schema}
    return {"type": "json_object"} if request.json_mode else None


def _count(usage: Any, name: str) -> int:
    number = getattr(usage, name, None)
    return number if isinstance(number, int) and number >= 0 else 0
