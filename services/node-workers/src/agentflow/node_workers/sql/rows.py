"""Rows as JSON, each type in one way.

integer → number; float → number (NaN and infinities → null); numeric → text with all its
digits, or a number with `decimals: "number"`; date, time, timestamp → ISO 8601; interval →
seconds; bytes → base64; UUID, network address → text; json → what it holds; array → list;
range → `{"lower", "upper", "bounds"}`. NUL and lone surrogates in text are replaced.
"""

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

from agentflow.contracts.errors import NodeFailed

Decimals = Literal["string", "number"]
_PLAIN = (bool, str, type(None))


def column_names(names: Iterable[str]) -> list[str]:
    """The names, with `_2`, `_3` … where one comes again: no column may hide another."""
    seen: dict[str, int] = {}
    unique: list[str] = []
    for name in names:
        count = seen[name] = seen.get(name, 0) + 1
        unique.append(name if count == 1 else f"{name}_{count}")
    return unique


def json_value(value: Any, decimals: Decimals = "string") -> Any:
    """A database value as JSON."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return _decimal(value, decimals)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item, decimals) for item in value]
    if hasattr(value, "keys"):
        return {str(key): json_value(value[key], decimals) for key in value.keys()}  # noqa: SIM118 - asyncpg's Record iterates values
    if hasattr(value, "lower_inc"):
        return _range(value, decimals)
    return str(value)


def _decimal(value: Decimal, decimals: Decimals) -> Any:
    if not value.is_finite():
        return None
    if decimals == "string":
        return format(value, "f")
    return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else float(value)


def _range(value: Any, decimals: Decimals) -> dict[str, Any] | None:
    if value.isempty:
        return None
    bounds = ("[" if value.lower_inc else "(") + ("]" if value.upper_inc else ")")
    return {
        "lower": json_value(value.lower, decimals),
        "upper": json_value(value.upper, decimals),
        "bounds": bounds,
    }


class RowCollector:
    """Turns raw rows into objects until the byte cap is reached."""

    def __init__(
        self,
        names: Sequence[str],
        max_bytes: int,
        convert: Sequence[Callable[[Any], Any]],
    ) -> None:
        """`convert` holds one function per column."""
        self.rows: list[dict[str, Any]] = []
        self._names = names
        self._convert = convert
        self._left = max_bytes
        self._max_bytes = max_bytes

    def add(self, raw: Sequence[Any]) -> None:
        """Keep one row; raises NodeFailed `payload_too_large`."""
        row = {
            name: convert(value)
            for name, convert, value in zip(self._names, self._convert, raw, strict=True)
        }
        self._left -= _size(row)
        if self._left < 0:
            raise NodeFailed(
                "payload_too_large",
                f"The result is larger than {self._max_bytes:,} bytes.",
                hint="Select fewer columns or rows, or page with limit and offset.",
            )
        self.rows.append(row)


def _size(value: Any) -> int:
    """Roughly the bytes of `value` as JSON: cheap, never far too small."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, dict):
        return sum(len(key) + 4 + _size(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(2 + _size(item) for item in value)
    return 8
