"""Provider `demo`: canned answers, offline, the same for the same prompt. Not a model.

Every answer is labelled: the model is `demo (canned)` and, unless a reply is configured,
the text starts with `[canned]`. It exists to try workflows without a key; tests use its
delays and failures.
"""

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.spec import Source
from agentflow.node_workers.llm.provider import LlmAnswer, LlmRequest

MODEL = "demo (canned)"
_RETRYABLE = frozenset({"rate_limited", "overloaded", "timeout", "network"})
_WORDS = re.compile(r"\w+|[^\w\s]")
_FIRST_WORDS = 12
_REMEMBERED = 10_000


class DemoProvider:
    """Config of the source:

    `replies`: `[{"match": "substring", "reply": …}]`, first match wins, or `{match: reply}`;
    an empty match always fits. `delay_seconds` before each answer. `fail_times`: the first n
    calls of each node fail with `fail_with` (a code of the taxonomy, default `overloaded`).
    """

    name = "demo"

    def __init__(self, source: Source) -> None:
        config = source.config
        self._source_id = source.id
        self._replies = list(_replies(config.get("replies")))
        self._delay = float(config.get("delay_seconds", 0))
        self._fail_times = int(config.get("fail_times", 0))
        self._fail_with = str(config.get("fail_with", "overloaded"))
        self._failures: dict[str, int] = {}

    async def complete(self, request: LlmRequest) -> LlmAnswer:
        """The configured reply for the prompt, or a labelled echo of its first words."""
        if self._delay:
            await asyncio.sleep(self._delay)
        self._maybe_fail(request.effect_key)
        text = self._reply(request.prompt)
        asked = f"{request.system_prompt or ''} {request.prompt}"
        return LlmAnswer(
            text=text,
            model=MODEL,
            finish_reason="stop",
            prompt_tokens=estimate_tokens(asked),
            completion_tokens=estimate_tokens(text),
            free=True,
        )

    async def aclose(self) -> None:
        """Holds nothing."""

    def _reply(self, prompt: str) -> str:
        lowered = prompt.lower()
        for match, reply in self._replies:
            if match.lower() in lowered:
                return reply
        words = prompt.split()
        more = " …" if len(words) > _FIRST_WORDS else ""
        return f"[canned] You said: {' '.join(words[:_FIRST_WORDS])}{more}"

    def _maybe_fail(self, effect_key: str) -> None:
        if not self._fail_times:
            return
        failed = self._failures.get(effect_key, 0)
        if failed >= self._fail_times:
            self._failures.pop(effect_key, None)
            return
        if len(self._failures) > _REMEMBERED:
            self._failures.clear()
        self._failures[effect_key] = failed + 1
        raise NodeFailed(
            self._fail_with,
            f"The demo source {self._source_id!r} fails on purpose ({failed + 1} of "
            f"{self._fail_times}).",
            retryable=self._fail_with in _RETRYABLE,
        )


def estimate_tokens(text: str) -> int:
    """A rough count: one per word piece of up to six letters, one per sign."""
    return sum((len(word) + 5) // 6 for word in _WORDS.findall(text))


def _replies(configured: Any) -> Iterable[tuple[str, str]]:
    if isinstance(configured, Mapping):
        for match, reply in configured.items():
            yield str(match), _text(reply)
    elif isinstance(configured, list):
        for entry in configured:
            if isinstance(entry, Mapping):
                yield str(entry.get("match", "")), _text(entry.get("reply", ""))
            else:
                yield "", _text(entry)


def _text(reply: Any) -> str:
    if isinstance(reply, str):
        return reply
    import orjson

    return orjson.dumps(reply).decode()
