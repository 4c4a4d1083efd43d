"""No secret leaves: what looks like a key, a token or a DSN password is blanked.

Two nets: a value is blanked when its name says secret, and pieces of any text are blanked
when they look like one. Counters such as `tokens_used` are not secrets and stay.
"""

import re
from collections.abc import Mapping
from typing import Any

REDACTED = "[redacted]"
MAX_DEPTH = 12
"""Deeper parts of a logged value are dropped: a log line is not a document."""

_SECRET_NAME = re.compile(
    r"(?:^|[_\-.])(?:"
    r"api[_-]?key|apikey|x[_-]api[_-]key|auth(?:orization)?|password|passwd|pwd|passphrase"
    r"|secrets?|token|access[_-]?token|refresh[_-]?token|credentials?|cookies?|set[_-]cookie"
    r"|private[_-]?key|signing[_-]?key|client[_-]?secret|pepper"
    r")$",
    re.IGNORECASE,
)
_URL_PASSWORD = re.compile(
    r"([a-z][a-z0-9+.\-]{1,30}://[^\s:/@]{0,256}):([^\s@/]{1,256})@", re.IGNORECASE
)
_URL_TOKEN = re.compile(r"((?:nats|tls|wss?)://)([^\s:/@]{8,256})@", re.IGNORECASE)
_ASSIGNMENT = re.compile(
    r"""((?:api[_-]?key|password|passwd|secret|access_token|refresh_token|token|signature)
        ["']?\s*[=:]\s*["']?)([^\s"',;&}{)\]]{4,512})""",
    re.IGNORECASE | re.VERBOSE,
)
_SHAPES = re.compile(
    r"\b(?:"
    r"(?:bearer|basic)\s+[A-Za-z0-9._~+/=\-]{8,}"
    r"|sk-[A-Za-z0-9_\-]{8,}"
    r"|(?:ghp|gho|ghs|ghu|github_pat|glpat|xox[abprs])[_-][A-Za-z0-9_\-]{10,}"
    r"|AKIA[0-9A-Z]{12,}"
    r"|AIza[0-9A-Za-z_\-]{20,}"
    r"|gsk_[A-Za-z0-9]{10,}"
    r"|af_[A-Za-z0-9]+\.[A-Za-z0-9_\-]{16,}"
    r"|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*"
    r")",
    re.IGNORECASE,
)
_HINTS = ("://", "=", ":", "-", "_", " ", ".", "AKIA", "AIza")


def is_secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret (`api_key`; but `api_key_env` is a name)."""
    return _SECRET_NAME.search(name) is not None


def redact_text(text: str) -> str:
    """`text` with everything that looks like a secret blanked."""
    if len(text) < 8 or not any(hint in text for hint in _HINTS):
        return text
    text = _URL_PASSWORD.sub(rf"\1:{REDACTED}@", text)
    text = _URL_TOKEN.sub(rf"\1{REDACTED}@", text)
    text = _SHAPES.sub(REDACTED, text)
    return _ASSIGNMENT.sub(rf"\1{REDACTED}", text)


def redact(value: Any, depth: int = 0) -> Any:
    """`value` with secrets blanked at every level; the value itself is not changed."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    if depth >= MAX_DEPTH:
        return "[too deep]" if isinstance(value, Mapping | list | tuple | set) else value
    if isinstance(value, Mapping):
        return {key: redact_field(str(key), item, depth + 1) for key, item in list(value.items())}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth + 1) for item in value]
    return value


def redact_field(name: str, value: Any, depth: int = 0) -> Any:
    """`value` blanked whole when `name` says it is a secret, else searched."""
    if is_secret_name(name) and value is not None and not isinstance(value, bool | int | float):
        return REDACTED
    return redact(value, depth)
