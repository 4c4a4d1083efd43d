"""Texts that are little programs: conditions, rules, patterns, templates, schemas.

Each is compiled exactly as it will be when it runs; what does not compile is told with the
place inside the text where that is known.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from agentflow.contracts.errors import BadInput
from agentflow.engine.conditions import compile_condition, edge_condition_kind
from agentflow.engine.patterns import compile_pattern
from agentflow.engine.rules import compile_rule
from agentflow.engine.schemas import compile_schema
from agentflow.engine.templates import ENGINES, compile_template
from agentflow.engine.validation.draft import Draft, NodeDraft
from agentflow.engine.validation.findings import Findings, Path

TEMPLATE_FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "llm": ("prompt", "prompt_template", "system_prompt"),
    "image": ("prompt", "prompt_template"),
    "db": ("params",),
    "api": ("path", "url", "query", "headers", "body"),
    "aggregator": ("template", "custom_fields"),
}
"""The settings of each node type that are rendered from the state."""


def check_texts(draft: Draft, findings: Findings) -> None:
    """Tell every text that does not compile."""
    check = _Checker(findings)
    for edge in draft.edges:
        condition = edge.raw.get("condition")
        if isinstance(condition, str) and edge_condition_kind(condition, edge.targets) == "cel":
            check(compile_condition, condition, edge.path("condition"), edge.source)
    for node in draft.nodes:
        when = node.setting("when")
        if when and isinstance(when[0], str):
            check(compile_condition, when[0], when[1], node.id)
        for compile_, value, path in _programs(node):
            check(compile_, value, path, node.id)


def templates_of(node: NodeDraft) -> Iterator[tuple[str, Path]]:
    """Every text of the node that is a template, and where it stands."""
    for name in TEMPLATE_FIELDS.get(node.kind or "", ()):
        if name != "template" or node.metadata.get("strategy") == "template":
            yield from _texts_in(node.metadata.get(name), node.path("metadata", name))


def engine_of(node: NodeDraft) -> str | None:
    """The node's template engine; None when it is none of ours (told by its shape)."""
    engine = node.metadata.get("template_engine", "simple")
    return engine if isinstance(engine, str) and engine in ENGINES else None


Compile = Callable[[Any], object]


def _programs(node: NodeDraft) -> Iterator[tuple[Compile, Any, Path]]:
    metadata = node.metadata
    if node.kind == "router":
        yield from _route_programs(node)
    elif node.kind == "input" and isinstance(metadata.get("validation"), Mapping):
        schema = metadata["validation"].get("schema")
        if isinstance(schema, Mapping):
            yield compile_schema, schema, node.path("metadata", "validation", "schema")
    elif node.kind == "aggregator" and metadata.get("strategy") == "expression":
        expression = metadata.get("expression")
        if isinstance(expression, str) and expression:
            yield compile_condition, expression, node.path("metadata", "expression")
    if node.kind in ("llm", "api") and isinstance(metadata.get("response_schema"), Mapping):
        yield compile_schema, metadata["response_schema"], node.path("metadata", "response_schema")
    engine = engine_of(node)
    if engine == "jinja":  # no text is wrong in the simple form
        for text, path in templates_of(node):
            yield _jinja, text, path


def _jinja(text: str) -> object:
    return compile_template(text, "jinja")


def _ignoring_case(text: str) -> object:
    return compile_pattern(text, ignore_case=True)


def _route_programs(node: NodeDraft) -> Iterator[tuple[Compile, Any, Path]]:
    strategy, routes = node.metadata.get("strategy"), node.metadata.get("routes")
    for number, route in enumerate(routes if isinstance(routes, list) else ()):
        if not isinstance(route, Mapping):
            continue
        path = node.path("metadata", "routes", number)
        if strategy == "pattern" and isinstance(route.get("pattern"), str):
            folded = route.get("ignore_case") is True
            compile_ = _ignoring_case if folded else compile_pattern
            yield compile_, route["pattern"], (*path, "pattern")
        elif strategy == "rules" and isinstance(route.get("condition"), str):
            yield compile_rule, route["condition"], (*path, "condition")


def _texts_in(value: Any, path: Path) -> Iterator[tuple[str, Path]]:
    waiting = [(value, path)]
    while waiting:
        item, where = waiting.pop()
        if isinstance(item, str):
            yield item, where
        elif isinstance(item, Mapping):
            waiting += [(inner, (*where, key)) for key, inner in item.items()]
        elif isinstance(item, list | tuple):
            waiting += [(inner, (*where, number)) for number, inner in enumerate(item)]


class _Checker:
    """Compiles a text and tells if that fails."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings

    def __call__(self, compile_: Compile, value: Any, path: Path, node_id: str | None) -> None:
        try:
            compile_(value)
        except BadInput as error:
            self._findings.add(error.code, error.message, path, node_id=node_id, hint=error.hint)
