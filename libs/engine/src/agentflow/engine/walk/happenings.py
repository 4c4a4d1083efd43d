"""What a walk hears besides the events of the log: facts only the shell knows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The execution's deadline is behind us. The clock is the shell's; the walk believes it."""

    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class ValuesLoaded:
    """The values behind references asked for with LoadValues, by `$ref`."""

    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ValuesLost:
    """References asked for with LoadValues cannot be had, and never will be."""

    refs: frozenset[str]
    reason: str
