"""JSON Schemas from strangers: no remote references, linear patterns, bounded work.

Only references inside the schema are followed. Two references to parts of the same value can
multiply the work at each level, so a schema whose references could do that without end (or
more than MAX_FAN times) is refused before it is ever used.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

import jsonschema_rs

from agentflow.engine.errors import BadSchema

MAX_DEPTH: Final = 64
MAX_PLACES: Final = 20_000
MAX_FAN: Final = 1_000
MAX_REFERENCES: Final = 500
_SAME_PLACE: Final = frozenset(
    {"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"}
)
_NAMED: Final = frozenset({"properties", "dependentSchemas"})
_DEFINITIONS: Final = frozenset({"$defs", "definitions"})
_OVERLAPPING: Final = frozenset({"patternProperties", "contains"})
"""These look at parts that other keywords look at as well."""
_DATA: Final = frozenset({"const", "enum", "default", "examples"})
_UNSUPPORTED: Final = frozenset({"$dynamicRef", "$recursiveRef"})


class JsonSchema:
    """A compiled schema."""

    def __init__(self, schema: Any) -> None:
        """Raises BadSchema."""
        _refuse_monsters(schema)
        try:
            self._validator = jsonschema_rs.validator_for(
                schema,
                retriever=_refuse,
                pattern_options=jsonschema_rs.RegexOptions(size_limit=1024 * 1024),
            )
        except jsonschema_rs.ValidationError as error:
            where = "/".join(str(step) for step in error.instance_path)
            message = f"Not a JSON Schema at /{where}: {error.message[:200]}."
            raise BadSchema(message) from None
        except Exception as error:  # noqa: BLE001 - the validator raises several kinds
            raise BadSchema(f"Not a JSON Schema: {str(error)[:200]}.") from None

    def problems(self, value: Any, most: int = 10) -> tuple[str, ...]:
        """What is wrong with `value`, each with its pointer; at most `most` of them."""
        found: list[str] = []
        for error in self._validator.iter_errors(value):
            pointer = "".join(f"/{step}" for step in error.instance_path)
            found.append(f"{pointer or 'the value'}: {error.message[:200]}")
            if len(found) == most:
                break
        return tuple(found)


def compile_schema(schema: Any) -> JsonSchema:
    """Compile a schema (an object, true or false); raises BadSchema."""
    return JsonSchema(schema)


def _refuse(uri: str) -> NoReturn:
    raise ValueError(f"remote references are not followed: {uri[:100]}")


Reference = tuple[str, tuple[str, ...]]
"""Where a `$ref` points, and which part of the value it looks at."""


def _refuse_monsters(schema: Any) -> None:
    references: dict[str, list[Reference]] = {}
    places = 0
    waiting: list[tuple[Any, int, str, tuple[str, ...]]] = [(schema, 0, "#", ())]
    while waiting:
        item, depth, base, part = waiting.pop()
        places += 1
        references.setdefault(base, [])
        if depth > MAX_DEPTH:
            raise BadSchema(f"The schema is nested deeper than {MAX_DEPTH} levels.")
        if places > MAX_PLACES:
            raise BadSchema(f"The schema has more than {MAX_PLACES:,} parts.")
        if isinstance(item, list | tuple):
            waiting += [(child, depth + 1, base, part) for child in item]
        elif isinstance(item, Mapping):
            found = _reference(item, depth)
            if found is not None:
                references[base].append((found, part))
            waiting += [(child, depth + 1, b, p) for child, b, p in _parts(item, base, part)]
    _refuse_fans(references)


def _reference(item: Mapping[str, Any], depth: int) -> str | None:
    """The target of this place's `$ref`, if any; raises BadSchema for forms that are refused."""
    if any(key in item for key in _UNSUPPORTED) or (depth and isinstance(item.get("$id"), str)):
        raise BadSchema("$dynamicRef, $recursiveRef and an inner $id are not supported.")
    target = item.get("$ref")
    if not isinstance(target, str):
        return None
    if target != "#" and not target.startswith("#/"):
        raise BadSchema(
            f"The reference {target[:100]!r} leaves the schema; only '#' and '#/…' are followed.",
            hint="Copy the referenced schema into $defs.",
        )
    return target


def _parts(
    item: Mapping[str, Any], base: str, part: tuple[str, ...]
) -> Iterator[tuple[Any, str, tuple[str, ...]]]:
    """The children of a place: each with the definition it belongs to and the part it looks at."""
    for key, child in item.items():
        if key in _DATA:
            continue
        if key in _DEFINITIONS and isinstance(child, Mapping):
            for name, definition in child.items():
                yield definition, f"#/{key}/{name}", ()
        elif key in _NAMED and isinstance(child, Mapping):
            for name, inner in child.items():
                yield inner, base, part if key in _SAME_PLACE else (*part, f"{key}/{name}")
        elif key in _SAME_PLACE:
            yield child, base, part
        elif key == "patternProperties" and isinstance(child, Mapping):
            yield list(child.values()), base, (*part, key)
        elif key == "prefixItems" and isinstance(child, list | tuple):
            for place, inner in enumerate(child):
                yield inner, base, (*part, f"{key}/{place}")
        else:
            yield child, base, (*part, str(key))


def _refuse_fans(references: dict[str, list[Reference]]) -> None:
    """How many times one value may be looked at, at worst: grows along references only."""
    if sum(map(len, references.values())) > MAX_REFERENCES:
        raise BadSchema(f"The schema has more than {MAX_REFERENCES} references.")
    fans = {base: _fan(found) for base, found in references.items() if found}
    work = dict.fromkeys(references, 1)
    changed = True
    while changed:
        changed = False
        for base, fan in fans.items():
            below = max(work.get(_base(target, references), 1) for target, _ in references[base])
            if below * fan > work[base]:
                work[base], changed = below * fan, True
            if work[base] > MAX_FAN:
                raise BadSchema(
                    "The schema's references would look at one value over and over "
                    f"(more than {MAX_FAN:,} times).",
                    hint="Let each alternative of anyOf/oneOf/allOf reference a different part.",
                )


def _fan(found: list[Reference]) -> int:
    """How often one part is referenced; overlapping keywords may meet on the same part."""
    counts: dict[tuple[str, ...], int] = {}
    overlapping = 0
    for _, part in found:
        if _OVERLAPPING.isdisjoint(part):
            counts[part] = counts.get(part, 0) + 1
        else:
            overlapping += 1
    return max(counts.values(), default=0) + overlapping


def _base(target: str, references: dict[str, list[Reference]]) -> str:
    """The definition a target lies in: itself, or the longest one that holds it."""
    while target not in references and "/" in target:
        target = target.rpartition("/")[0]
    return target
