"""Shows issues the way compilers do: the line, a caret under the place, the code, the hint.

Pure text: colour is added by the caller. Issues without a known place show their pointer.
"""

import re
from collections.abc import Iterable, Sequence

from agentflow.contracts.problem import Issue

MAX_LINE = 160
"""Longer source lines are cut around the caret: minified JSON is one line."""
MASKED_CODE = "literal_secret"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def show_issues(name: str, text: str | None, issues: Iterable[Issue]) -> str:
    """All issues, errors first as given, separated by blank lines."""
    issues = tuple(issues)
    lines = _masked(text.splitlines(), issues) if text is not None else []
    return "\n\n".join(show_issue(name, lines, issue) for issue in issues)


def show_issue(name: str, lines: list[str], issue: Issue) -> str:
    """One issue. `lines` is the spec's text; empty when it is not known."""
    parts = [f"{_place(name, issue)}: {issue.severity}[{issue.code}] {issue.message}"]
    if issue.line is not None and 0 < issue.line <= len(lines):
        parts += _excerpt(lines[issue.line - 1], issue.line, issue.column or 1)
    if issue.hint:
        parts.append(f"  hint: {issue.hint}")
    return "\n".join(parts)


def _masked(lines: list[str], issues: Sequence[Issue]) -> list[str]:
    """The lines with literal secrets starred out, each column where it was: output gets logged."""
    for issue in issues:
        if issue.code == MASKED_CODE and issue.line is not None and 0 < issue.line <= len(lines):
            line, start = lines[issue.line - 1], (issue.column or 1) - 1
            literal = _STRING.match(line, start)
            if literal is not None:
                stars = "*" * (len(literal.group()) - 2)
                lines[issue.line - 1] = f'{line[:start]}"{stars}"{line[literal.end() :]}'
    return lines


def _place(name: str, issue: Issue) -> str:
    if issue.line is not None:
        return f"{name}:{issue.line}:{issue.column or 1}"
    return f"{name}{issue.pointer and f' at {issue.pointer}'}"


def _excerpt(line: str, number: int, column: int) -> list[str]:
    line = line.replace("\t", " ")
    start = max(0, column - 1 - MAX_LINE // 2) if len(line) > MAX_LINE else 0
    shown = line[start : start + MAX_LINE]
    before = "…" if start else ""
    after = "…" if start + MAX_LINE < len(line) else ""
    gutter = f"{number:>5} │ "
    caret = " " * (len(gutter) + len(before) + column - 1 - start) + "^"
    return [f"{gutter}{before}{shown}{after}", caret]


def summary(errors: int, warnings: int) -> str:
    """`2 errors, 1 warning`."""
    return f"{_count(errors, 'error')}, {_count(warnings, 'warning')}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
