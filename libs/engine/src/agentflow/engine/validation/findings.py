"""What a check has found so far: issues in the order of the document, each told once.

A finding names its place as the path of keys and indexes into the document; the pointer is
made of it here. Nothing that looks like a secret is ever repeated in a message.
"""

from collections.abc import Collection
from difflib import get_close_matches
from heapq import nsmallest
from typing import Final

from agentflow.contracts.problem import Issue
from agentflow.engine.validation.codes import CODES
from agentflow.engine.validation.secrets import looks_secret

Path = tuple[str | int, ...]
MAX_ISSUES: Final = 1_000
"""Of each severity. A report has to fit into one message."""
MAX_SHOWN: Final = 80
MAX_COMPARISONS: Final = 100_000
"""Names compared in search of near ones; then hints stop, so that they stay a small part."""


class Findings:
    """Collects issues; one code is told once per place."""

    def __init__(self) -> None:
        self._issues: dict[tuple[str, str, str], Issue] = {}
        self.paths: dict[str, Path] = {}
        self._comparisons = MAX_COMPARISONS

    def add(
        self,
        code: str,
        message: str,
        path: Path = (),
        *,
        node_id: object = None,
        hint: str | None = None,
    ) -> None:
        """Tell one issue; `path` leads to the value, or to where it should be."""
        pointer = pointer_of(path)
        self.paths[pointer] = path
        issue = Issue(
            code=code,
            message=message,
            severity=CODES[code].severity,
            pointer=pointer,
            node_id=node_id if isinstance(node_id, str) else None,
            hint=hint or CODES[code].remedy,
        )
        self._issues.setdefault((code, pointer, message), issue)

    def did_you_mean(self, value: object, known: Collection[str], least: float = 0.6) -> str | None:
        """The nearest known name as a hint; None when nothing is near (`least` of 1 is equal)."""
        self._comparisons -= len(known)
        if not isinstance(value, str) or len(value) > 200 or self._comparisons < 0:
            return None
        close = get_close_matches(value, known, n=1, cutoff=least) or [
            name for name in known if name.casefold() == value.casefold()
        ]
        return f"Did you mean {show(close[0])}?" if close else None

    def choices(self, value: object, known: Collection[str]) -> str:
        """The nearest known name, or the list of all of them."""
        near = self.did_you_mean(value, known)
        if near or not known:
            return near or "There are none."
        more = ", …" if len(known) > 20 else ""
        return f"There are: {', '.join(nsmallest(20, known))}{more}."

    def issues(self) -> list[Issue]:
        """All of them in the order of the document, cut at MAX_ISSUES of each severity."""
        ordered = sorted(self._issues.values(), key=lambda issue: _order(self.paths[issue.pointer]))
        kept: list[Issue] = []
        for severity in ("error", "warning"):
            found = [issue for issue in ordered if issue.severity == severity]
            kept += found[:MAX_ISSUES]
            if len(found) > MAX_ISSUES and severity == "error":
                rest = len(found) - MAX_ISSUES
                kept.append(
                    Issue(code="too_many_issues", message=f"{rest:,} more errors are not listed.")
                )
        return kept


def pointer_of(path: Path) -> str:
    """The JSON pointer (RFC 6901) of a path."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def show(value: object) -> str:
    """A value as it may stand in a message: short, quoted, never a secret."""
    if not isinstance(value, str):
        return f"a value of type {type(value).__name__}"
    if looks_secret(value):
        return "'…'"
    return repr(value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…")


def _order(path: Path) -> tuple[tuple[int, int, str], ...]:
    return tuple((0, step, "") if isinstance(step, int) else (1, 0, step) for step in path)
