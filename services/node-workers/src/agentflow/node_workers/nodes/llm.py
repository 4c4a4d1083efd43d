"""llm nodes: one prompt in, one text out, with its tokens and its price.

The answer stays text unless `response_schema` or `parse_json: true` asks for JSON; then an
answer that is not that is `bad_output`. The price list is the bundled one unless the source
has `prices`.
"""

from typing import Any

import orjson

from agentflow.contracts.errors import MalformedJson, NodeFailed, PayloadTooLarge
from agentflow.contracts.result import NodeResult, Usage
from agentflow.contracts.spec import Source
from agentflow.contracts.strict_json import parse_json
from agentflow.engine.nodes import default_output_key
from agentflow.node_workers.call import NodeCall
from agentflow.node_workers.llm.prices import cost_of
from agentflow.node_workers.llm.provider import (
    SAMPLING_OPTIONS,
    LlmAnswer,
    LlmProvider,
    LlmRequest,
)
from agentflow.node_workers.llm.registry import LlmProviders
from agentflow.node_workers.pools import SourcePool, source_key
from agentflow.node_workers.schema_check import check_schema
from agentflow.node_workers.templating import Renderer

DEFAULT_TIMEOUT = 120.0


class LlmNode:
    """Asks the provider of the node's source."""

    def __init__(self, providers: LlmProviders, max_sources: int) -> None:
        self._providers = providers
        self._pool: SourcePool[LlmProvider] = SourcePool(max_sources)

    async def run(self, call: NodeCall) -> NodeResult:
        source = call.need_source("llm")
        request, warnings = build_request(call, source)
        async with self._pool.lease(
            source_key(call.tenant, source), lambda: self._providers.make(call.tenant, source)
        ) as provider:
            answer = await provider.complete(request)
        cost, no_price = cost_of(answer, provider.name, source.config.get("prices"))
        if no_price is not None:
            warnings.append(no_price)
        return _result(call, request, answer, cost, provider.name, warnings)

    async def aclose(self) -> None:
        await self._pool.aclose()


def build_request(call: NodeCall, source: Source) -> tuple[LlmRequest, list[str]]:
    """The request a node makes of its settings, its source's and the state; with warnings."""
    metadata = call.node.metadata
    renderer = Renderer(call.state, metadata.get("template_engine"))
    schema = metadata.get("response_schema")
    system = metadata.get("system_prompt")
    options = {name: value for name in SAMPLING_OPTIONS if (value := call.option(name)) is not None}
    request = LlmRequest(
        prompt=_prompt(call, renderer),
        model=_model(call, source),
        effect_key=call.effect_key,
        system_prompt=renderer.text(str(system)) if system else _own_system_prompt(source),
        timeout=float(source.config.get("timeout", DEFAULT_TIMEOUT)),
        response_schema=schema if isinstance(schema, dict) else None,
        json_mode=bool(metadata.get("json_mode", False)),
        options=options,
    )
    return request, renderer.warnings


def _own_system_prompt(source: Source) -> str | None:
    """A source's prompt is no template: the state it would read does not travel with a node."""
    own = source.config.get("system_prompt")
    return str(own) if own else None


def _prompt(call: NodeCall, renderer: Renderer) -> str:
    metadata = call.node.metadata
    template = metadata.get("prompt") or metadata.get("prompt_template")
    if template is not None:
        return renderer.text(str(template))
    given = call.state.get("user_input")
    if given is None:
        raise NodeFailed(
            "invalid_request",
            f"The llm node {call.node.id!r} has no prompt and the state has no user_input.",
            hint="Set metadata.prompt.",
        )
    return given if isinstance(given, str) else orjson.dumps(given).decode()


def _model(call: NodeCall, source: Source) -> str:
    model = call.option("model") or call.option("model_name")
    if model is None and source.config.get("provider") == "demo":
        return "demo"
    if not isinstance(model, str) or not model:
        raise NodeFailed(
            "invalid_request", f"The source {source.id!r} names no model.", hint="Set config.model."
        )
    return model


def _result(
    call: NodeCall,
    request: LlmRequest,
    answer: LlmAnswer,
    cost: float | None,
    provider: str,
    warnings: list[str],
) -> NodeResult:
    usage = Usage(
        prompt_tokens=answer.prompt_tokens,
        cached_tokens=answer.cached_tokens,
        completion_tokens=answer.completion_tokens,
        cost=cost,
        provider=provider,
        model=answer.model,
        finish_reason=answer.finish_reason,
    )
    writes: dict[str, Any] = {"tokens_used": usage.total_tokens}
    if cost is not None:
        writes["cost"] = cost
    if answer.finish_reason == "length":
        warnings.append("The answer was cut at max_tokens.")
    asked = {"prompt": request.prompt, "model": request.model}
    if request.system_prompt:
        asked["system_prompt"] = request.system_prompt
    return NodeResult(
        output=_output(call, request, answer),
        output_key=default_output_key(call.node),
        writes=writes,
        input=asked,
        usage=usage,
        warnings=tuple(warnings),
    )


def _output(call: NodeCall, request: LlmRequest, answer: LlmAnswer) -> Any:
    if request.response_schema is None and not call.node.metadata.get("parse_json", False):
        return answer.text
    try:
        value = parse_json(_without_fence(answer.text).encode("utf-8", "replace"))
    except (MalformedJson, PayloadTooLarge) as error:
        raise NodeFailed(
            "bad_output",
            f"The model's answer is not the JSON it was asked for: {error.message}",
            retryable=True,
            hint="Ask for JSON in the prompt, or raise max_tokens if it was cut.",
        ) from None
    if request.response_schema is not None:
        check_schema(request.response_schema, value, "The model's answer")
    return value


def _without_fence(text: str) -> str:
    """Models like to wrap JSON into a Markdown fence."""
    stripped = text.strip()
    if stripped.startswith("```") and stripped.endswith("```") and "\n" in stripped:
        return stripped[stripped.index("\n") + 1 : -3].strip()
    return stripped
