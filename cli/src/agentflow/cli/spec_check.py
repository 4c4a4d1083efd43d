"""Checking a spec on this machine, and telling what is wrong with it in its own text."""

from agentflow.cli.carets import show_issues, summary
from agentflow.cli.client import Refused
from agentflow.cli.errors import InvalidInput
from agentflow.cli.inputs import SpecText
from agentflow.cli.output import Output
from agentflow.contracts.replies import ValidationReport
from agentflow.contracts.spec import WorkflowSpec


def check(text: SpecText, *, node: str | None = None) -> ValidationReport:
    """Every error and warning of the spec, or of one of its nodes."""
    from agentflow.engine.validation import validate

    return validate(text.text, node=node)


def say_report(text: SpecText, report: ValidationReport, output: Output) -> None:
    """Tell every issue with its line, then the count."""
    issues = (*report.errors, *report.warnings)
    if issues:
        output.say(show_issues(text.name, text.text, issues))
        output.say()
    counts = summary(len(report.errors), len(report.warnings))
    style = "green" if report.valid else "bold red"
    output.say(f"{text.name}: {'valid' if report.valid else 'invalid'} ({counts})", style=style)


def require_valid(text: SpecText, output: Output) -> WorkflowSpec:
    """The spec; raises InvalidInput after telling its errors. Warnings are told too."""
    report = check(text)
    if not report.valid:
        say_report(text, report, output)
        raise InvalidInput(f"{text.name} is not a valid workflow.")
    for warning in report.warnings:
        output.say(show_issues(text.name, text.text, [warning]), style="yellow")
    return WorkflowSpec.model_validate(text.document)


def refusal_of(text: SpecText, refusal: Refused, output: Output) -> InvalidInput:
    """The error to raise when the gateway refused the spec: its issues, shown in our text.

    The gateway saw JSON without our line breaks, so the places come from checking it here.
    """
    report = check(text)
    known = {(issue.code, issue.pointer) for issue in report.errors}
    if not report.valid:
        say_report(text, report, output)
    elsewhere = [i for i in refusal.issues if (i.code, i.pointer) not in known]
    if elsewhere:
        output.say(show_issues(text.name, None, elsewhere))
    return InvalidInput(f"{text.name} was refused: {refusal.message}")
