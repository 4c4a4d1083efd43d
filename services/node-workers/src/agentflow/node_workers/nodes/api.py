"""api nodes (alias http): one HTTP request to the source, its JSON or text as the output.

`extract` picks parts with JSONPath, `response_schema` checks what is kept. All attempts
carry the same Idempotency-Key.
"""

import asyncio
import ssl
from typing import Any

import httpx2

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Source
from agentflow.engine.nodes import default_output_key
from agentflow.node_workers.api.answer import Extractor, check_status, read_body
from agentflow.node_workers.api.credentials import credentials_of
from agentflow.node_workers.api.exchange import exchange
from agentflow.node_workers.api.request import build_request
from agentflow.node_workers.call import NodeCall
from agentflow.node_workers.egress.network import make_client
from agentflow.node_workers.egress.policy import EgressPolicy
from agentflow.node_workers.endpoint import read_url
from agentflow.node_workers.pools import SourcePool, source_key
from agentflow.node_workers.schema_check import check_schema
from agentflow.node_workers.secrets import Secrets
from agentflow.node_workers.templating import Renderer

DEFAULT_TIMEOUT = 30.0
MAX_BODY_BYTES = 32 * 1024 * 1024


class ApiNode:
    """Asks the web."""

    def __init__(
        self, secrets: Secrets, policy: EgressPolicy, tls: ssl.SSLContext, max_sources: int
    ) -> None:
        self._secrets = secrets
        self._policy = policy
        self._tls = tls
        self._pool: SourcePool[httpx2.AsyncClient] = SourcePool(max_sources)
        self._extractor = Extractor()

    async def run(self, call: NodeCall) -> NodeResult:
        renderer = Renderer(call.state, call.node.metadata.get("template_engine"))
        source = _source(call, renderer)
        base = read_url(source, str(source.config.get("base_url", "")))
        credentials = credentials_of(self._secrets, call.tenant, source, base)
        request = build_request(call, source, renderer, credentials)
        seconds = _seconds(call)
        async with self._pool.lease(source_key(call.tenant, source), self._make) as client:
            try:
                async with asyncio.timeout(seconds):
                    response = await exchange(client, request)
            except TimeoutError:
                raise NodeFailed(
                    "timeout",
                    f"{request.url.host} did not answer within {seconds:g} seconds.",
                    retryable=True,
                ) from None
        check_status(response)
        return NodeResult(
            output=self._output(call, source, response),
            output_key=default_output_key(call.node),
            input=request.record(),
            warnings=tuple(renderer.warnings),
        )

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _make(self) -> httpx2.AsyncClient:
        return make_client(
            self._policy, self._tls, max_body_bytes=MAX_BODY_BYTES, timeout=DEFAULT_TIMEOUT
        )

    def _output(self, call: NodeCall, source: Source, response: httpx2.Response) -> Any:
        metadata = call.node.metadata
        body = read_body(response, MAX_BODY_BYTES)
        if (wanted := metadata.get("extract")) is not None:
            body = self._extractor.extract(wanted, body)
        if (schema := metadata.get("response_schema")) is not None:
            check_schema(schema, body, f"The answer of the source {source.id!r}")
        return body


def _source(call: NodeCall, renderer: Renderer) -> Source:
    """The node's source; one that says the whole address needs none and has no credentials."""
    if call.source is None:
        for name in ("url", "base_url", "path"):
            address = call.node.metadata.get(name)
            if isinstance(address, str) and address.startswith(("http://", "https://")):
                config = {"base_url": renderer.path(address)}
                return Source(id=call.node.id, kind="api", config=config)
    return call.need_source("api")


def _seconds(call: NodeCall) -> float:
    try:
        seconds = float(call.option("timeout", DEFAULT_TIMEOUT))
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise NodeFailed(
            "invalid_request", f"The timeout of the api node {call.node.id!r} is not in seconds."
        )
    return seconds
