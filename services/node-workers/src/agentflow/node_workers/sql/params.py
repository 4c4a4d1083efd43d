"""Parameters of a query: always bound, never written into its text."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from agentflow.contracts.errors import NodeFailed


class BadParameter(NodeFailed):
    """A parameter is missing or does not fit."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__("invalid_request", message, hint=hint)


def in_order(
    names: Sequence[str], positional: bool, params: dict[str, Any] | list[Any]
) -> list[Any]:
    """The values for `names`; raises BadParameter for one that was not given."""
    if positional:
        if not isinstance(params, list) or len(params) != len(names):
            count = len(params) if isinstance(params, list) else "no list of"
            raise BadParameter(
                f"The query takes {len(names)} positional parameters and got {count}.",
                hint="Give metadata.params as a list.",
            )
        return list(params)
    if not names:
        return []
    if not isinstance(params, dict):
        raise BadParameter(
            f"The query takes the parameters {', '.join(names)} by name.",
            hint="Give metadata.params as an object.",
        )
    missing = [name for name in names if name not in params]
    if missing:
        raise BadParameter(f"The query's parameters {', '.join(missing)} are not in params.")
    return [params[name] for name in names]


def bind_by_name(
    names: Sequence[str], positional: bool, params: dict[str, Any] | list[Any]
) -> dict[str, Any]:
    """Values by name, of the types SQLite has; objects and lists become JSON text."""
    values = in_order(names, positional, params)
    return {name: _sqlite_value(value) for name, value in zip(names, values, strict=True)}


def _sqlite_value(value: Any) -> Any:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value


def typed(value: Any, type_name: str, place: str) -> Any:
    """A JSON value as PostgreSQL's `type_name` wants it in Python; raises BadParameter."""
    if value is None:
        return None
    if type_name.endswith("[]"):
        if not isinstance(value, list):
            raise BadParameter(f"The parameter {place} must be a list for {type_name}.")
        return [typed(item, type_name[:-2], place) for item in value]
    convert = _CONVERTERS.get(type_name)
    if convert is None:
        return value
    try:
        return convert(value)
    except (ValueError, TypeError, ArithmeticError):
        shown = str(value)[:40]
        raise BadParameter(
            f"The parameter {place} must be a {type_name} and is {shown!r}."
        ) from None


def _integer(value: Any) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError("not a whole number")
    return int(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    return json.dumps(value, ensure_ascii=False)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    found = known.get(str(value).lower())
    if found is None:
        raise ValueError("not a boolean")
    return found


def _date(value: Any) -> date:
    return datetime.fromisoformat(value).date() if len(value) > 10 else date.fromisoformat(value)


def _naive(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _aware(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _decimal(value: Any) -> Decimal:
    try:
        return Decimal(str(value))
    except InvalidOperation:
        raise ValueError("not a number") from None


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("int2", "int4", "int8", "oid"), _integer),
    **dict.fromkeys(("float4", "float8"), float),
    **dict.fromkeys(("text", "varchar", "bpchar", "name", "citext"), _text),
    **dict.fromkeys(("json", "jsonb"), lambda value: json.dumps(value, ensure_ascii=False)),
    "bool": _boolean,
    "numeric": _decimal,
    "date": _date,
    "timestamp": _naive,
    "timestamptz": _aware,
    "time": time.fromisoformat,
    "uuid": lambda value: UUID(str(value)),
    "bytea": lambda value: base64.b64decode(value, validate=True),
    "interval": lambda value: timedelta(seconds=float(value)),
}
