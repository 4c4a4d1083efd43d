"""The check of a whole spec, in one pass: every error and every warning, each with its place.

Nothing a document holds makes it raise. The shape is read first; the other checks work on
whatever could be read, so that no error hides another. Linear but for the sets of ancestors.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from agentflow.contracts.errors import AgentflowError
from agentflow.contracts.problem import Issue
from agentflow.contracts.replies import ValidationReport
from agentflow.contracts.spec import NODE_TYPES, WorkflowSpec
from agentflow.contracts.strict_json import parse_json
from agentflow.engine.validation.draft import draft_of
from agentflow.engine.validation.findings import Findings, Path, show
from agentflow.engine.validation.graph import check_graph
from agentflow.engine.validation.intents import check_intents
from agentflow.engine.validation.nodes import check_nodes
from agentflow.engine.validation.positions import locate
from agentflow.engine.validation.screen import MAX_CHARACTERS, screen
from agentflow.engine.validation.shape import parse_spec
from agentflow.engine.validation.sources import KnownSources, check_sources
from agentflow.engine.validation.texts import check_texts
from agentflow.engine.validation.writers import check_writers


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found. `spec` is None when the document's shape is wrong."""

    spec: WorkflowSpec | None
    errors: tuple[Issue, ...]
    warnings: tuple[Issue, ...]

    @property
    def valid(self) -> bool:
        return self.spec is not None and not self.errors

    def about(self, node_id: str) -> "Checked":
        """Only what concerns one node."""
        return Checked(
            self.spec,
            tuple(issue for issue in self.errors if issue.node_id == node_id),
            tuple(issue for issue in self.warnings if issue.node_id == node_id),
        )

    def report(self) -> ValidationReport:
        """The same as a message."""
        return ValidationReport(valid=self.valid, errors=self.errors, warnings=self.warnings)


def validate_spec(
    document: object,
    *,
    text: str | bytes | None = None,
    known_sources: KnownSources = None,
    known_types: Collection[str] = NODE_TYPES,
) -> Checked:
    """Check a parsed document. `text` (what it was parsed from) gives lines and columns.

    `known_sources` tells which sources are stored: a mapping or a function of the id; without
    it only inlined sources are known. `known_types` are the node types that can run.
    """
    findings = Findings()
    if text is not None and len(text) > MAX_CHARACTERS:
        message = f"The document has {len(text):,} characters; at most {MAX_CHARACTERS:,} fit."
        findings.add("payload_too_large", message)
        return _checked(None, findings, None)
    if not screen(document, findings):
        return _checked(None, findings, text)
    spec = parse_spec(document, findings)
    draft = draft_of(document)
    graph = check_graph(draft, findings)
    check_nodes(draft, findings, known_types)
    check_sources(draft, findings, known_sources)
    check_texts(draft, findings)
    check_intents(draft, findings)
    check_writers(draft, graph, findings)
    return _checked(spec, findings, text)


def validate_node(
    document: object,
    node_id: str,
    *,
    text: str | bytes | None = None,
    known_sources: KnownSources = None,
    known_types: Collection[str] = NODE_TYPES,
) -> Checked:
    """Check one node alone: what concerns it, however wrong the rest may be."""
    checked = validate_spec(
        document, text=text, known_sources=known_sources, known_types=known_types
    )
    ids = draft_of(document).by_id
    if node_id in ids:
        return checked.about(node_id)
    findings = Findings()
    message = f"There is no node {show(node_id)}."
    findings.add("unknown_node", message, ("nodes",), hint=findings.choices(node_id, ids))
    return _checked(checked.spec, findings, text)


def validate(
    text: str | bytes,
    *,
    node: str | None = None,
    known_sources: KnownSources = None,
    known_types: Collection[str] = NODE_TYPES,
) -> ValidationReport:
    """Check JSON text, or one node of it: the report, with lines and columns."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        document: Any = parse_json(data)
    except AgentflowError as error:
        findings = Findings()
        code = "payload_too_large" if error.code == "payload_too_large" else "malformed_json"
        findings.add(code, error.message, hint=error.hint)
        return _checked(None, findings, None).report()
    options: dict[str, Any] = {"known_sources": known_sources, "known_types": known_types}
    if node is None:
        return validate_spec(document, text=text, **options).report()
    checked = validate_node(document, node, text=text, **options)
    return ValidationReport(
        valid=not checked.errors, errors=checked.errors, warnings=checked.warnings
    )


def _checked(spec: WorkflowSpec | None, findings: Findings, text: str | bytes | None) -> Checked:
    issues = findings.issues()
    if text is not None and issues:
        issues = _placed(issues, findings.paths, text)
    return Checked(
        spec,
        tuple(issue for issue in issues if issue.severity == "error"),
        tuple(issue for issue in issues if issue.severity == "warning"),
    )


def _placed(issues: list[Issue], paths: dict[str, Path], text: str | bytes) -> list[Issue]:
    """The issues with the line and column where each points."""
    wanted = [paths.get(issue.pointer, ()) for issue in issues]
    positions = locate(text, wanted)
    return [
        issue.model_copy(update={"line": positions[path][0], "column": positions[path][1]})
        for issue, path in zip(issues, wanted, strict=True)
    ]
