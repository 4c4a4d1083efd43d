"""Any message there is: Hypothesis strategies over the contracts' own classes.

The fields of each class are read from the class, so a new message is tested on the day it
is written.
"""

import math
from datetime import UTC
from types import UnionType
from typing import Any, NewType, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel

from agentflow.contracts.audits import AuditRecord, DeadLetter, TokenDelta
from agentflow.contracts.commands import CancelExecution, ExecuteWorkflow, ValidateWorkflow
from agentflow.contracts.events import EVENT_TYPES
from agentflow.contracts.message import Message
from agentflow.contracts.spec import Node, Source
from agentflow.contracts.tasks import RunNode

MESSAGE_TYPES: tuple[type[Message], ...] = (
    ExecuteWorkflow,
    ValidateWorkflow,
    CancelExecution,
    RunNode,
    AuditRecord,
    DeadLetter,
    TokenDelta,
    *EVENT_TYPES,
)
TOKEN_FIELDS = frozenset(
    ("tenant", "execution_id", "node_id", "pool", "resource", "verb", "origin_stream", "id")
)

tokens = st.from_regex(r"\A[A-Za-z0-9_-]{1,40}\Z")
texts = st.text(
    st.characters(codec="utf-8", exclude_characters="\x00"),
    max_size=30,
)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
json_objects = st.dictionaries(texts, json_values, max_size=4)
times = st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year > 1)
nodes = st.builds(
    Node,
    id=tokens,
    type=st.sampled_from(["input", "llm", "db", "api", "router", "aggregator", "image", "x"]),
    metadata=st.dictionaries(st.sampled_from(["prompt", "query", "a~b/c"]), json_values),
    on_error=st.sampled_from(["fail", "continue"])
    | st.fixed_dictionaries({"default": json_values})
    | st.fixed_dictionaries({"goto": tokens}),
    timeout_seconds=st.none() | st.floats(0.001, 1000),
    when=st.none() | texts,
)
sources = st.builds(
    Source, id=tokens, kind=st.sampled_from(["llm", "image", "db", "api"]), config=json_objects
)


def messages(cls: type[Message]) -> st.SearchStrategy[Message]:
    """Any valid instance of `cls`."""
    fields = {name: _field(name, info.annotation) for name, info in cls.model_fields.items()}
    fields |= {name: st.just(1.5) for name in fields if name == "timeout_seconds"}
    return st.builds(cls, **fields)


def _field(name: str, annotation: Any) -> st.SearchStrategy[Any]:
    if name in TOKEN_FIELDS:
        return tokens
    if name == "workflow_id":
        return st.none() | tokens
    return of(annotation)


def of(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value of a field's type."""
    if isinstance(annotation, NewType):
        return tokens
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return st.one_of(*(of(part) for part in get_args(annotation)))
    if origin is tuple:
        return st.lists(of(get_args(annotation)[0]), max_size=3).map(tuple)
    if origin is dict:
        values = get_args(annotation)[1]
        return json_objects if values is Any else st.dictionaries(texts, of(values), max_size=3)
    if isinstance(annotation, type) and issubclass(annotation, Node):
        return nodes
    if isinstance(annotation, type) and issubclass(annotation, Source):
        return sources
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        parts = {
            name: _field(name, info.annotation) for name, info in annotation.model_fields.items()
        }
        return st.builds(annotation, **parts)
    simple = _SIMPLE.get(str(annotation))
    return st.from_type(annotation) if simple is None else simple


_SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "<class 'str'>": texts,
    "<class 'int'>": st.integers(0, 2**53),
    "<class 'float'>": st.floats(0, 1e15).filter(math.isfinite),
    "<class 'datetime.datetime'>": times,
    "<class 'pydantic.types.AwareDatetime'>": times,
    "typing.Any": json_values,
}
