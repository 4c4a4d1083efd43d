"""JSON Schema of everything that crosses a wire: one file per message, reply and spec part."""

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from agentflow.contracts import audits, commands, events, problem, replies, result, spec, tasks
from agentflow.contracts.message import Message

MODULES: tuple[ModuleType, ...] = (
    commands,
    tasks,
    events,
    audits,
    replies,
    problem,
    result,
    spec,
)
BASES = {"Message", "Command", "Event", "NodeEvent", "ExecutionEnded", "Reply", "SpecModel"}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """File name → schema, e.g. `NodeCompleted.json`."""
    return {f"{model.__name__}.json": schema_of(model) for model in models()}


def models() -> Iterator[type[BaseModel]]:
    """Every concrete model the contracts define, in the order of their files."""
    for module in MODULES:
        for name, value in vars(module).items():
            if (
                inspect.isclass(value)
                and issubclass(value, BaseModel)
                and value.__module__ == module.__name__
                and not name.startswith("_")
                and name not in BASES
            ):
                yield value


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The schema of one model; messages also say their subject and stream."""
    schema: dict[str, Any] = {"$schema": DIALECT, **model.model_json_schema(by_alias=True)}
    if issubclass(model, Message):
        schema["x-subject"] = model.pattern()
        schema["x-stream"] = model.STREAM
        schema["x-schema-header"] = model.schema_name()
    return schema
