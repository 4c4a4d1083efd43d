"""What an api node makes of an answer: JSON or text, the wanted part of it, or a failure.

The words of a failure are ours; what the server wrote does not get into them.
"""

import time
from typing import Any

import httpx2
import jsonpath
from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError

from agentflow.contracts.errors import MalformedJson, NodeFailed, PayloadTooLarge
from agentflow.contracts.strict_json import JsonLimits, parse_json
from agentflow.node_workers.retry_after import parse_retry_after

_MAX_PATH_CHARS = 1_000
_MAX_DESCENTS = 2
"""`..` twice is honest; more of them multiply the work."""
_BINARY = ("image/", "audio/", "video/", "application/octet-stream", "application/pdf")


def check_status(response: httpx2.Response) -> None:
    """Raise NodeFailed for anything but 2xx."""
    status, host = response.status_code, response.url.host
    if 200 <= status < 300:
        return
    after = parse_retry_after(response.headers.get("retry-after"), time.time())
    code, words, retryable = _meaning(status)
    raise NodeFailed(
        code,
        f"{host} answered HTTP {status}: {words}.",
        retryable=retryable,
        retry_after=after if retryable else None,
        details={"status": status},
    )


def _meaning(status: int) -> tuple[str, str, bool]:
    known = {
        401: ("auth", "it does not accept our credentials", False),
        402: ("quota_exhausted", "it wants to be paid", False),
        403: ("auth", "our credentials do not allow this", False),
        404: ("not_found", "there is nothing at this path", False),
        408: ("timeout", "it waited too long", True),
        425: ("overloaded", "it is too early", True),
        429: ("rate_limited", "it limits our requests", True),
        504: ("timeout", "its own server was too slow", True),
    }
    if status in known:
        return known[status]
    if status >= 500:
        return "overloaded", "it is overloaded or has a fault", True
    if status >= 400:
        return "invalid_request", "it does not accept the request", False
    return "bad_output", "it redirects a request that may not be repeated", False


def read_body(response: httpx2.Response, max_bytes: int) -> Any:
    """JSON where the answer is JSON, text otherwise, None for an empty one."""
    content = response.content
    if not content:
        return None
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind.startswith(_BINARY):
        raise NodeFailed("bad_output", f"{response.url.host} answered with {kind}, not with text.")
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return parse_json(content, JsonLimits(max_bytes=max_bytes, max_keys=2_000_000))
        except (MalformedJson, PayloadTooLarge) as error:
            raise NodeFailed(
                "bad_output",
                f"{response.url.host} announced JSON and sent none: {error.message}",
                retryable=True,
            ) from None
    return response.text


class Extractor:
    """Runs JSONPath queries (RFC 9535) without regular expressions."""

    def __init__(self) -> None:
        self._environment = JSONPathEnvironment(strict=True)
        for name in ("match", "search"):
            self._environment.function_extensions.pop(name)

    def extract(self, wanted: Any, document: Any) -> Any:
        """The value at a path, a list for a path with several; an object of paths: an object."""
        if isinstance(wanted, dict):
            return {str(name): self.extract(path, document) for name, path in wanted.items()}
        path = self._compile(wanted)
        try:
            found = path.findall(document)
        except JSONPathError:
            raise NodeFailed("bad_output", "The extract path does not fit the answer.") from None
        if isinstance(path, jsonpath.JSONPath) and path.singular_query():
            return found[0] if found else None
        return found

    def _compile(self, wanted: Any) -> jsonpath.JSONPath | jsonpath.CompoundJSONPath:
        if (
            not isinstance(wanted, str)
            or len(wanted) > _MAX_PATH_CHARS
            or wanted.count("..") > _MAX_DESCENTS
        ):
            raise _bad_path()
        try:
            return self._environment.compile(wanted)
        except (JSONPathError, RecursionError):
            raise _bad_path() from None


def _bad_path() -> NodeFailed:
    return NodeFailed(
        "invalid_request",
        "The node's extract is not a JSONPath that is accepted here.",
        hint="RFC 9535 without match() and search(), at most two descents (..).",
    )
