"""The first look at a document nobody has looked at: is it JSON, of bearable size, free of secrets.

Reads everything once, without recursion, before any model sees it. A document that is too deep
or too large is not looked at any further.
"""

from math import isfinite
from typing import Any, Final

from agentflow.engine.validation.findings import Findings, Path
from agentflow.engine.validation.secrets import is_secret_under, looks_secret

MAX_DEPTH: Final = 100
MAX_VALUES: Final = 2_000_000
MAX_CHARACTERS: Final = 8 * 1024 * 1024
_Link = tuple[Any, str | int, int]
"""(the link of the parent, the key or index in it, depth)."""


def screen(document: Any, findings: Findings) -> bool:
    """Whether the document can be looked at any further. Tells secrets wherever they are."""
    waiting: list[tuple[Any, _Link | None]] = [(document, None)]
    values = characters = 0
    while waiting:
        value, link = waiting.pop()
        values += 1
        if isinstance(value, str):
            characters += len(value)
            _check_text(value, link, findings)
        elif isinstance(value, dict):
            depth = 1 if link is None else link[2] + 1
            for key, item in value.items():
                if not isinstance(key, str):
                    return _refuse(findings, "invalid_value", "A key is not a text.", link)
                characters += len(key)
                waiting.append((item, (link, key, depth)))
        elif isinstance(value, list | tuple):
            depth = 1 if link is None else link[2] + 1
            waiting += [(item, (link, index, depth)) for index, item in enumerate(value)]
        elif not _is_scalar(value):
            message = f"A value of type {type(value).__name__} is not JSON."
            return _refuse(findings, "invalid_value", message, link)
        if link is not None and link[2] > MAX_DEPTH:
            message = f"The document is nested deeper than {MAX_DEPTH} levels."
            return _refuse(findings, "payload_too_large", message, None)
        if values > MAX_VALUES or characters > MAX_CHARACTERS or len(waiting) > MAX_VALUES:
            most = f"{MAX_CHARACTERS:,} characters or {MAX_VALUES:,} values"
            message = f"The document has more than {most}."
            return _refuse(findings, "payload_too_large", message, None)
    return True


def _is_scalar(value: Any) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int):
        return value.bit_length() <= 1024
    return isinstance(value, float) and isfinite(value)


def _refuse(findings: Findings, code: str, message: str, link: _Link | None) -> bool:
    findings.add(code, message, path_of(link))
    return False


def _check_text(value: str, link: _Link | None, findings: Findings) -> None:
    if len(value) < 4 or link is None:
        return
    key = link[1]
    secret = looks_secret(value) if len(value) >= 12 else False
    if not secret and isinstance(key, str):
        secret = is_secret_under(key, value)
    if secret:
        path = path_of(link)
        findings.add(
            "literal_secret",
            f"The value of {_name_of(path)!r} looks like a secret.",
            path,
        )


def _name_of(path: Path) -> str:
    return str(next((step for step in reversed(path) if isinstance(step, str)), ""))


def path_of(link: _Link | None) -> Path:
    """The path of a place, from its chain of parents."""
    steps: list[str | int] = []
    while link is not None:
        steps.append(link[1])
        link = link[0]
    return tuple(reversed(steps))
