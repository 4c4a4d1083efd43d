"""The shape of a spec: pydantic's complaints, told in our words and at the right place.

A setting that was given inside `metadata` is pointed at there. Of a union that fits in no way
one issue is told, not one for each way.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agentflow.contracts.spec import (
    NODE_SETTINGS,
    Bandwidth,
    Budget,
    Edge,
    Node,
    Queue,
    RetryPolicy,
    Source,
    WorkflowSpec,
)
from agentflow.engine.validation.findings import Findings, Path, show

_PARTS: Final = {"nodes": Node, "edges": Edge, "queues": Queue, "sources": Source}
_INNER: Final = {"retry": RetryPolicy, "bandwidth": Bandwidth, "budget": Budget}
_UNIONS: Final = {
    "to": "`to` is a node id or a list of node ids.",
    "on_error": '`on_error` is "fail", "continue", {"default": value} or {"goto": "node id"}.',
    "version": "`version` is a text or a whole number.",
}
_JSON_NAMES: Final = {
    "str": "a text",
    "string": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "an object",
    "model": "an object",
}


def parse_spec(document: Any, findings: Findings) -> WorkflowSpec | None:
    """The spec; None when its shape is wrong, with every reason told."""
    if not isinstance(document, Mapping):
        findings.add("wrong_type", "A workflow is an object.")
        return None
    try:
        return WorkflowSpec.model_validate(document)
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=True):
            _tell(fault, document, findings)
    return None


def tell_all(
    error: ValidationError, document: Any, findings: Findings, base: Path, node_id: object
) -> None:
    """Tell the faults of one part (say, a node's metadata) that stands at `base`.

    Of a value that fits no member of a union, the kinds it could be are told in one issue.
    """
    told: dict[Path, list[tuple[str, str]]] = {}
    for fault in error.errors(include_url=False, include_context=True):
        place = _place(fault, document)
        told.setdefault(place.path, []).append(_wording(fault, place))
    for path, wordings in told.items():
        code, message = wordings[0]
        for _, other in wordings[1:]:
            message = f"{message.rstrip('.')}, or: {other}"
        findings.add(code, message, (*base, *path), node_id=node_id)


def _tell(fault: ErrorDetails, document: Mapping[str, Any], findings: Findings) -> None:
    place = _place(fault, document)
    path = place.path
    if fault["type"] == "too_short" and _at(document, path):
        return  # pydantic counts only the items that were right; the wrong ones are told
    node_id = None
    if len(path) > 1 and path[0] == "nodes":
        node = _at(document, path[:2])
        node_id = node.get("id") if isinstance(node, Mapping) else None
    code, message = _wording(fault, place)
    hint = findings.choices(path[-1], _fields(path)) if code == "unknown_field" else None
    findings.add(code, message, path, node_id=node_id, hint=hint)


class _Place(NamedTuple):
    """Where a fault is: at `path`, something `missing` there, or a `union` that fits in no way."""

    path: Path
    missing: bool = False
    union: bool = False


def _place(fault: ErrorDetails, document: Any) -> _Place:
    """Where in the document the fault is.

    Pydantic's location also holds the names of union members, which are nowhere in the document.
    """
    path: list[str | int] = []
    here = document
    for number, step in enumerate(fault["loc"], 1):
        inside = _step(here, step)
        if inside is None and _is_lifted(path, here, step):
            path.append("metadata")
            here = here["metadata"]
            step = _name_in(here, step)  # noqa: PLW2901 - the same step, under its other name
            inside = _step(here, step)
        if inside is None:
            break
        path.append(step)
        here = inside[0]
        if step in _UNIONS and len(path) in (1, 3, 4) and number < len(fault["loc"]):
            return _Place(tuple(path), union=True)
    missing = fault["type"] == "missing"
    return _Place((*path, fault["loc"][-1]) if missing else tuple(path), missing)


def _step(here: Any, step: str | int) -> tuple[Any] | None:
    if isinstance(here, Mapping) and step in here:
        return (here[step],)
    if isinstance(here, list | tuple) and isinstance(step, int) and 0 <= step < len(here):
        return (here[step],)
    return None


def _is_lifted(path: Sequence[str | int], here: Any, step: str | int) -> bool:
    """Whether the step is a node's setting that was given inside its metadata."""
    if len(path) != 2 or path[0] != "nodes" or not isinstance(here, Mapping):
        return False
    metadata = here.get("metadata")
    return (
        isinstance(metadata, Mapping)
        and step in (*NODE_SETTINGS, "source")
        and _name_in(metadata, step) in metadata
    )


def _name_in(metadata: Mapping[str, Any], step: str | int) -> str | int:
    if step in ("source_id", "source") and step not in metadata:
        return "source" if step == "source_id" else "source_id"
    return step


def _at(document: Any, path: Path) -> Any:
    for step in path:
        found = _step(document, step)
        if found is None:
            return None
        document = found[0]
    return document


def _wording(fault: ErrorDetails, place: _Place) -> tuple[str, str]:
    """The code and the message of a fault."""
    path, kind = place.path, fault["type"]
    name = str(path[-1]) if path else "the document"
    if place.union:
        return "wrong_type", _UNIONS[name]
    if place.missing:
        return "missing_field", f"The key {name!r} is missing."
    if kind == "extra_forbidden":
        return "unknown_field", f"There is no key {show(name)} here."
    if len(path) > 2 and path[0] == "queues" and path[2] == "bandwidth":
        return "bad_bandwidth", f"{show(name)} has to be a number above zero."
    wanted = _JSON_NAMES.get(kind.partition("_")[0])
    if kind.endswith(("_type", "_parsing")) and wanted:
        return "wrong_type", f"{name!r} has to be {wanted}."
    if kind == "string_pattern_mismatch" and name == "id":
        return "invalid_value", "An id is 1 to 100 letters, digits, '_' or '-'."
    return "invalid_value", f"{name!r}: {fault['msg'].rstrip('.')}."


def _fields(path: Path) -> Collection[str]:
    """The keys that may stand where an unknown one was found."""
    model: Any = WorkflowSpec
    if len(path) == 3 and path[0] in _PARTS:
        model = _PARTS[str(path[0])]
    elif len(path) >= 2 and path[-2] in _INNER:
        model = _INNER[str(path[-2])]
    return [field.alias or name for name, field in model.model_fields.items()]
