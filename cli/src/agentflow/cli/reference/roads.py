"""Who says what to whom, read from the services' own source.

A service hears a stream when it hands one of its messages to a consumer (`message=RunNode`)
or subscribes to the live feed; it says a stream when it makes one of its messages. So the
picture in README cannot show a road that is not there, nor leave one out.
"""

import ast
import gc
import importlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agentflow.cli.embedded.services import SERVICES

MESSAGES = tuple(f"agentflow.contracts.{m}" for m in ("commands", "events", "tasks", "audits"))
CONSUMERS = ("consume", "consume_batches")
LIVE = ("live", "follow")


@dataclass(frozen=True, order=True)
class Road:
    """`service` says to (`verb` = says) or hears from (hears, hears live) a stream."""

    service: str
    verb: str
    stream: str


def roads() -> list[Road]:
    """All roads of all six services, in a stable order."""
    return sorted({road for service in SERVICES for road in roads_of(service)})


def roads_of(service: str) -> Iterator[Road]:
    """The roads of one service."""
    for tree in _sources(service):
        messages = dict(_imported_messages(tree))
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            yield from (Road(service, verb, stream) for verb, stream in _said(call, messages))


def _said(call: ast.Call, messages: dict[str, str]) -> Iterator[tuple[str, str]]:
    name = _name(call.func)
    if isinstance(call.func, ast.Name) and name in messages:
        yield "says", messages[name]
    elif name in CONSUMERS:
        for keyword in call.keywords:
            if keyword.arg == "message" and _name(keyword.value) in messages:
                yield "hears", messages[_name(keyword.value)]
    elif name in LIVE and isinstance(call.func, ast.Attribute) and _is_bus(call.func.value):
        yield "hears live", "EVENTS"


def _imported_messages(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Name in this module → stream, for every message class it imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MESSAGES:
            module = importlib.import_module(node.module)
            for alias in node.names:
                stream = getattr(getattr(module, alias.name), "STREAM", None)
                if stream is not None:
                    yield alias.asname or alias.name, stream


def _sources(service: str) -> Iterator[ast.Module]:
    package = importlib.util.find_spec(f"agentflow.{service.replace('-', '_')}")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for path in sorted(Path(folder).rglob("*.py")):
            yield _parsed(path.read_text(encoding="utf-8"))


def _parsed(source: str) -> ast.Module:
    """`ast.parse` without a garbage collection in it, which CPython 3.11 may trip over."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if collecting:
            gc.enable()


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_bus(node: ast.expr) -> bool:
    return _name(node).lstrip("_") == "bus"
