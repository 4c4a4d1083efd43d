"""The first look at a document nobody has looked at: is it JSON, of bearable size, free of secrets.

Reads everything once, without recursion, before any model sees it. A document that is too deep
or too large is not looked at any further.
"""

from math import isfinite
from typing import Any, Final

from agentflow.engine.validation.findings import Findings, Path, show
from agentflow.engine.validation.secrets import MIN_STRONG, is_secret_under, looks_secret

MAX_DEPTH: Final = 100
MIN_SHAPED: Final = 12
"""No shorter text is a key by its shape."""
MAX_VALUES: Final = 2_000_000
MAX_CHARACTERS: Final = 8 * 1024 * 1024
_Link = tuple[Any, str | int, int]
"""(the link of the parent, the key or index in it, depth)."""


def screen(document: Any, findings: Findings) -> bool:
    """Whether the document can be looked at any further. Tells secrets wherever they are."""
    try:
        _Screen(findings).read(document)
    except _NotFit as reason:
        findings.add(reason.code, reason.message, path_of(reason.link))
        return False
    return True


class _NotFit(Exception):
    """The document ends here."""

    def __init__(self, code: str, message: str, link: _Link | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.link = link


class _Screen:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._values = MAX_VALUES
        self._characters = MAX_CHARACTERS
        self._waiting: list[tuple[Any, _Link | None]] = []

    def read(self, document: Any) -> None:
        self._one(document, "", None, 0)
        while self._waiting:
            value, link = self._waiting.pop()
            depth = link[2] if link else 0
            if depth >= MAX_DEPTH:
                raise _NotFit(
                    "payload_too_large", f"The document is nested deeper than {MAX_DEPTH} levels."
                )
            self._values -= len(value)
            if self._values < 0 or self._characters < 0:
                most = f"{MAX_CHARACTERS:,} characters or {MAX_VALUES:,} values"
                raise _NotFit("payload_too_large", f"The document has more than {most}.")
            if isinstance(value, dict):
                self._object(value, link, depth + 1)
            else:
                for index, item in enumerate(value):
                    self._one(item, index, link, depth + 1)

    def _object(self, value: dict[Any, Any], link: _Link | None, depth: int) -> None:
        for key, item in value.items():
            if not isinstance(key, str):
                raise _NotFit("invalid_value", "A key is not a text.", link)
            self._characters -= len(key)
            self._one(item, key, link, depth)

    def _one(self, value: Any, key: str | int, parent: _Link | None, depth: int) -> None:
        if isinstance(value, str):
            self._characters -= len(value)
            if len(value) >= MIN_STRONG and _is_secret(key, value):
                self._tell((parent, key, depth))
        elif isinstance(value, dict | list | tuple):
            self._waiting.append((value, (parent, key, depth) if depth else None))
        elif not _is_scalar(value):
            message = f"A value of type {type(value).__name__} is not JSON."
            raise _NotFit("invalid_value", message, (parent, key, depth) if depth else None)

    def _tell(self, link: _Link) -> None:
        path = path_of(link)
        name = next((step for step in reversed(path) if isinstance(step, str)), "")
        self._findings.add(
            "literal_secret", f"The value of {show(name)} looks like a secret.", path
        )


def _is_scalar(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return value.bit_length() <= 1024
    return isinstance(value, float) and isfinite(value)


def _is_secret(key: str | int, value: str) -> bool:
    if len(value) >= MIN_SHAPED and looks_secret(value):
        return True
    return isinstance(key, str) and is_secret_under(key, value)


def path_of(link: _Link | None) -> Path:
    """The path of a place, from its chain of parents."""
    steps: list[str | int] = []
    while link is not None:
        steps.append(link[1])
        link = link[0]
    return tuple(reversed(steps))
