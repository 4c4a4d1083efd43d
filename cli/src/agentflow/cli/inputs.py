"""What people type: `--input key=text`, `--input key:=json`, `--state file.json`, a spec file."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentflow.cli.errors import InvalidInput
from agentflow.contracts.errors import AgentflowError
from agentflow.contracts.strict_json import parse_json

STDIN = "-"


@dataclass(frozen=True)
class SpecText:
    """A spec as it stands in its file. `name` is what messages call it."""

    name: str
    text: str
    document: Any


def read_spec(path: str) -> SpecText:
    """Read a spec file, or stdin for `-`; raises InvalidInput."""
    data = _read_bytes(path, "spec")
    document = _parse(data, path)
    return SpecText(path, data.decode(), document)


def read_unparsed(path: str) -> SpecText:
    """The text alone, for a check that tells itself what is wrong with it."""
    return SpecText(path, _read_bytes(path, "spec").decode(errors="replace"), None)


def read_state(state_file: str | None, inputs: Sequence[str]) -> dict[str, Any]:
    """The initial state: the file's object, then each `--input` on top."""
    state: dict[str, Any] = {}
    if state_file is not None:
        document = _parse(_read_bytes(state_file, "state"), state_file)
        if not isinstance(document, dict):
            raise InvalidInput(f"{state_file} must hold a JSON object, not {_kind(document)}.")
        state.update(document)
    for item in inputs:
        key, value = _parse_input(item)
        state[key] = value
    return state


def _parse_input(item: str) -> tuple[str, Any]:
    name, separator, text = item.partition("=")
    if not separator or not name.rstrip(":"):
        raise InvalidInput(
            f"--input {item!r} is not key=value.",
            hint="Write user_input=hello for text, or limit:=5 for JSON.",
        )
    if name.endswith(":"):
        return name[:-1], _parse(text.encode(), f"--input {name}")
    return name, text


def _read_bytes(path: str, what: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"Cannot read the {what} {path}: {error.strerror}.") from None


def _parse(data: bytes, name: str) -> Any:
    try:
        return parse_json(data)
    except AgentflowError as error:
        raise InvalidInput(f"{name}: {error.message}", hint=error.hint) from None


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
