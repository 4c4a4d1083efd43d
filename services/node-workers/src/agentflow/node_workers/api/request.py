"""What an api node sends: its settings and its source's, filled from the state.

Values in a path are percent-encoded, so that no value can climb out of its segment; the
finished URL must lie at the source's own address. Headers that frame a message are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
import orjson

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.spec import Source
from agentflow.node_workers.call import NodeCall
from agentflow.node_workers.endpoint import read_url, same_place
from agentflow.node_workers.templating import Renderer

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_FRAMING: Final = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
        "te",
        "trailer",
        "expect",
        "accept-encoding",
        "proxy-authorization",
        "idempotency-key",
    }
)
MAX_URL_CHARS: Final = 16_000


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request. `private` are the headers that may only go to the source's own address."""

    method: str
    url: httpx2.URL
    headers: dict[str, str]
    private: dict[str, str]
    content: bytes | None

    def record(self) -> dict[str, Any]:
        """What the node's record tells: no header, for any of them may hold a secret."""
        told: dict[str, Any] = {"method": self.method, "url": str(self.url)}
        if self.content is not None:
            told["body"] = self.content[:10_000].decode("utf-8", "replace")
        return told


def build_request(
    call: NodeCall, source: Source, renderer: Renderer, credentials: Mapping[str, str]
) -> ApiRequest:
    """The request; raises NodeFailed `invalid_request`."""
    metadata = call.node.metadata
    method = str(metadata.get("method", "GET")).upper()
    if method not in METHODS:
        raise _invalid(call, f"the method {method[:20]!r} is not one of {', '.join(METHODS)}")
    content, content_type = _body(metadata.get("body"), renderer)
    headers = {"accept": "application/json, text/plain;q=0.9, */*;q=0.5"}
    if content_type is not None:
        headers["content-type"] = content_type
    own = _headers(call, renderer.value(metadata.get("headers") or {}))
    private = {
        **_headers(call, source.config.get("headers") or {}),
        **credentials,
        IDEMPOTENCY_KEY: call.effect_key,
    }
    url = _url(call, source, renderer)
    return ApiRequest(method, url, headers | own, private, content)


def _url(call: NodeCall, source: Source, renderer: Renderer) -> httpx2.URL:
    metadata = call.node.metadata
    base = read_url(source, str(source.config.get("base_url", "")))
    path = "" if call.source is None else renderer.path(str(metadata.get("path") or ""))
    text = str(base)
    if path:
        text = f"{text.rstrip('/')}/{path.lstrip('/')}"
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        raise _invalid(call, "its path makes no URL") from None
    pairs = _query(call, renderer)
    if pairs:
        url = url.copy_merge_params(httpx2.QueryParams(pairs))
    if not same_place(url, base) or url.userinfo:
        raise _invalid(call, "its path leads away from the source's base_url")
    if len(str(url)) > MAX_URL_CHARS:
        raise _invalid(call, f"its URL is longer than {MAX_URL_CHARS:,} characters")
    return url


def _query(call: NodeCall, renderer: Renderer) -> str:
    """The query string of an object, or a text as it was written with its values encoded."""
    query = call.node.metadata.get("query")
    if isinstance(query, str):
        return renderer.path(query).lstrip("?")
    query = renderer.value(query or {})
    if not isinstance(query, dict):
        raise _invalid(call, "its query is no object")
    return urlencode([(name, text) for name, value in query.items() for text in _texts(value)])


def _texts(value: Any) -> list[str]:
    """A query value as texts: a list repeats the name, null leaves it out."""
    if value is None:
        return []
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return [value if isinstance(value, str) else orjson.dumps(value).decode()]


def _headers(call: NodeCall, given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise _invalid(call, "its headers are no object")
    headers: dict[str, str] = {}
    for name, value in given.items():
        lowered = str(name).strip().lower()
        if lowered in _FRAMING:
            raise _invalid(call, f"the header {name!r} is not for nodes to set")
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        plain = text.isascii() and lowered.isascii() and lowered.replace("-", "").isalnum()
        if not plain or any(ord(sign) < 32 for sign in text):
            raise _invalid(call, f"the header {str(name)[:50]!r} holds what HTTP cannot carry")
        headers[lowered] = text
    return headers


def _body(setting: Any, renderer: Renderer) -> tuple[bytes | None, str | None]:
    """Bytes and content type: JSON for anything but a text that is no JSON object or list."""
    if setting is None:
        return None, None
    value = renderer.value(setting)
    if not isinstance(value, str):
        return orjson.dumps(value), "application/json"
    content = value.encode("utf-8", "replace")
    if value.lstrip()[:1] in ("{", "["):
        try:
            orjson.loads(content)
        except ValueError:
            return content, "text/plain; charset=utf-8"
        return content, "application/json"
    return content, "text/plain; charset=utf-8"


def _invalid(call: NodeCall, why: str) -> NodeFailed:
    return NodeFailed("invalid_request", f"The api node {call.node.id!r} cannot be sent: {why}.")
