"""The filters a Jinja template may use: data in, data out, nothing that pads or repeats.

Written for JSON values only. Each is called with the values after the meter was paid for
them; what could make a result larger than its inputs (`replace`, `join`) pays beforehand.
"""

import json
from collections.abc import Callable, Iterable
from html import escape
from itertools import groupby
from typing import Any, Final
from urllib.parse import quote

from jinja2.runtime import Context, Undefined

from agentflow.engine.errors import TemplateFailed
from agentflow.engine.jinja_meter import Meter
from agentflow.engine.templates import MISSING, as_text, look_up

MAX_DIGITS: Final = 15


def default(value: Any, fallback: Any = "", boolean: bool = False) -> Any:
    return fallback if isinstance(value, Undefined) or (boolean and not value) else value


def replace(meter: Meter, value: Any, old: Any, new: Any, count: int = -1) -> str:
    text, old, new = as_text(value), as_text(old), as_text(new)
    meter.pay((text.count(old) + 1) * len(new) // 64)
    return text.replace(old, new, count)


def join(meter: Meter, value: Any, separator: Any = "", attribute: Any = None) -> str:
    items, glue = [as_text(pick(item, attribute)) for item in each(value)], as_text(separator)
    meter.pay((sum(map(len, items)) + len(items) * len(glue)) // 64)
    return glue.join(items)


def truncate(value: Any, length: int = 255, end: Any = "…") -> str:
    text = as_text(value)
    return text if len(text) <= length else text[: max(0, int(length))] + as_text(end)


def rounded(value: Any, precision: int = 0) -> float:
    if not -MAX_DIGITS <= precision <= MAX_DIGITS:
        raise TemplateFailed(f"round() takes at most {MAX_DIGITS} digits.")
    return round(float(value), precision)


def to_int(value: Any, fallback: int = 0) -> int:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return fallback


def to_float(value: Any, fallback: float = 0.0) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return fallback


def to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=None if indent is None else min(indent, 8))


def each(value: Any) -> list[Any]:
    """The items of a list, the keys of an object, the characters of a text."""
    if isinstance(value, Undefined):
        return list(value)  # StrictUndefined says which name is missing
    if not isinstance(value, list | tuple | dict | str):
        raise TemplateFailed(f"A value of type {type(value).__name__} has no items.")
    return list(value)


def pick(item: Any, attribute: Any) -> Any:
    """The part of an item that `attribute` (a dotted path or an index) names; null when absent."""
    if attribute is None:
        return item
    found = look_up(item, tuple(str(attribute).split(".")))
    return None if found is MISSING else found


def sort(value: Any, reverse: bool = False, attribute: Any = None) -> list[Any]:
    return sorted(each(value), key=lambda item: _order(pick(item, attribute)), reverse=reverse)


def unique(value: Any, attribute: Any = None) -> list[Any]:
    kept: dict[str, Any] = {}
    for item in each(value):
        kept.setdefault(json.dumps(pick(item, attribute), sort_keys=True), item)
    return list(kept.values())


def grouped(value: Any, attribute: Any) -> list[tuple[Any, list[Any]]]:
    def key(item: Any) -> Any:
        return pick(item, attribute)

    ordered = sorted(each(value), key=lambda item: _order(key(item)))
    return [(name, list(items)) for name, items in groupby(ordered, key)]


def dictsort(value: Any) -> list[tuple[str, Any]]:
    return sorted(value.items(), key=lambda pair: str(pair[0]).casefold())


def total(value: Any, attribute: Any = None, start: float = 0) -> float:
    result = start
    for item in each(value):
        result += pick(item, attribute)
    return result


def mapped(context: Context, value: Any, name: Any = None, *args: Any, **named: Any) -> list[Any]:
    items = each(value)
    if "attribute" in named:
        found = [pick(item, named["attribute"]) for item in items]
        return [named.get("default") if one is None else one for one in found]
    call = context.environment.call_filter
    return [call(name, item, args, named, context) for item in items]


def chosen(keep: bool) -> Callable[..., list[Any]]:
    """`select` and `reject`: the items for which a test holds, or does not."""

    def choose(context: Context, value: Any, test: Any = None, *args: Any) -> list[Any]:
        return [one for one in each(value) if _passes(context, one, test, args) is keep]

    return choose


def chosen_by_attribute(keep: bool) -> Callable[..., list[Any]]:
    """`selectattr` and `rejectattr`: the same, for a part of each item."""

    def choose(context: Context, value: Any, name: Any, test: Any = None, *args: Any) -> list[Any]:
        return [o for o in each(value) if _passes(context, pick(o, name), test, args) is keep]

    return choose


def _passes(context: Context, value: Any, test: Any, args: Iterable[Any]) -> bool:
    if test is None:
        return bool(value)
    return bool(context.environment.call_test(test, value, tuple(args), None, context))


def _order(value: Any) -> tuple[int, Any]:
    """Numbers before texts before the rest, so that mixed lists can be sorted."""
    if isinstance(value, int | float):
        return (1, value)
    return (2, value.casefold()) if isinstance(value, str) else (3 if value else 0, as_text(value))


PLAIN: Final[dict[str, Callable[..., Any]]] = {
    "abs": abs,
    "capitalize": lambda value: as_text(value).capitalize(),
    "count": len,
    "d": default,
    "default": default,
    "dictsort": dictsort,
    "e": lambda value: escape(as_text(value)),
    "escape": lambda value: escape(as_text(value)),
    "first": lambda value: next(iter(each(value)), None),
    "float": to_float,
    "groupby": grouped,
    "int": to_int,
    "items": lambda value: list(value.items()),
    "last": lambda value: next(reversed(each(value)), None),
    "length": len,
    "list": each,
    "lower": lambda value: as_text(value).lower(),
    "max": lambda value, attribute=None: next(reversed(sort(value, attribute=attribute)), None),
    "min": lambda value, attribute=None: next(iter(sort(value, attribute=attribute)), None),
    "reverse": lambda value: value[::-1],
    "round": rounded,
    "sort": sort,
    "string": as_text,
    "sum": total,
    "title": lambda value: as_text(value).title(),
    "tojson": to_json,
    "trim": lambda value: as_text(value).strip(),
    "truncate": truncate,
    "unique": unique,
    "upper": lambda value: as_text(value).upper(),
    "urlencode": lambda value: quote(as_text(value), safe="/"),
    "wordcount": lambda value: len(as_text(value).split()),
}
"""Filters of the value alone."""

PAYING: Final[dict[str, Callable[..., Any]]] = {"replace": replace, "join": join}
"""Filters that pay for their result first."""

CALLING: Final[dict[str, Callable[..., Any]]] = {
    "map": mapped,
    "select": chosen(keep=True),
    "reject": chosen(keep=False),
    "selectattr": chosen_by_attribute(keep=True),
    "rejectattr": chosen_by_attribute(keep=False),
}
"""Filters that call other filters and tests."""
