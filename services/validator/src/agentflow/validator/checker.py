"""From a question to a report: every error and warning of a spec, its plan when asked for.

Pure apart from the cache: the same text gives the same report. "Valid" includes that
LangGraph compiles it, for specs small enough for that to be quick.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from agentflow.contracts.errors import InvalidSpec
from agentflow.contracts.problem import Issue
from agentflow.contracts.replies import ValidationReport
from agentflow.contracts.spec import Source
from agentflow.engine.plan import compile_plan
from agentflow.engine.plan_parts import Plan
from agentflow.engine.validation import Checked, validate_node, validate_spec


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be checked; `text` gives lines and columns."""

    document: Any
    text: str | None
    plan: bool
    node: str | None


@dataclass(frozen=True, slots=True)
class CheckLimits:
    """How far a check goes: nodes that LangGraph compiles, issues told."""

    compile_nodes: int
    max_issues: int


def check(
    question: Question, sources: Mapping[str, Source], limits: CheckLimits
) -> ValidationReport:
    """The report on `question`; `sources` are the stored ones it may name. Never raises for
    what the spec holds."""
    document, text = question.document, question.text
    if question.node is not None:
        return _one_node(validate_node(document, question.node, text=text, known_sources=sources))
    checked = validate_spec(document, text=text, known_sources=sources)
    plan, errors = None, list(checked.errors)
    if checked.valid and checked.spec is not None:
        try:
            plan = compile_plan(checked.spec)
            if len(plan.nodes) <= limits.compile_nodes:
                _compile(plan)
        except InvalidSpec as error:
            errors.extend(error.issues)
    return ValidationReport(
        valid=not errors,
        errors=tuple(errors[: limits.max_issues]),
        warnings=tuple(checked.warnings[: limits.max_issues]),
        plan=plan.view() if plan is not None and question.plan and not errors else None,
    )


def preload() -> None:
    """Import LangGraph now (1.7 s) rather than under the first question."""
    import agentflow.engine.graph  # noqa: F401 - the import is the point


def _compile(plan: Plan) -> None:
    """Raise InvalidSpec when LangGraph refuses the plan."""
    from agentflow.engine.graph import compile_graph

    try:
        compile_graph(plan, _nobody)
    except ValueError as error:
        issue = Issue(
            code="not_compilable",
            message="LangGraph cannot compile this workflow.",
            hint=str(error),
        )
        raise InvalidSpec("The workflow cannot be compiled.", issues=[issue]) from error


def _nobody(*_: Any) -> NoReturn:
    raise NotImplementedError("a graph compiled for a check is never run")


def _one_node(checked: Checked) -> ValidationReport:
    """What concerns one node alone; the rest of the spec may be as wrong as it likes."""
    return ValidationReport(
        valid=not checked.errors, errors=checked.errors, warnings=checked.warnings
    )


def invalid(errors: list[Issue]) -> ValidationReport:
    """The report that says only what is wrong."""
    return ValidationReport(valid=False, errors=tuple(errors))
