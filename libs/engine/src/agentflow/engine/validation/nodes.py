"""Nodes: each is of a type there is, and its metadata says what the type needs.

The shapes are those of the metadata models; what a shape cannot say (a router of keywords
needs routes with keywords) is told here.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from pydantic import ValidationError

from agentflow.contracts.spec import NODE_TYPE_ALIASES
from agentflow.engine.nodes.metadata import METADATA
from agentflow.engine.validation.draft import Draft, NodeDraft
from agentflow.engine.validation.findings import Findings, show
from agentflow.engine.validation.shape import tell_all

_ROUTE_NEEDS: Final = {"keyword": "keywords", "pattern": "pattern", "rules": "condition"}


def check_nodes(draft: Draft, findings: Findings, known_types: Collection[str]) -> None:
    """Tell what is wrong with the nodes' types and metadata."""
    types = {*known_types, *(alias for alias, of in NODE_TYPE_ALIASES.items() if of in known_types)}
    for node in draft.nodes:
        if node.kind is None:
            continue
        if node.kind not in types and node.raw.get("type") not in types:
            message = f"There is no node type {show(node.raw.get('type'))}."
            hint = findings.choices(node.raw.get("type"), types)
            path = node.path("type")
            findings.add("unsupported_type", message, path, node_id=node.id, hint=hint)
        elif node.kind in METADATA:
            _check_metadata(node, findings)


def _check_metadata(node: NodeDraft, findings: Findings) -> None:
    model = METADATA[node.kind or ""]
    try:
        model.model_validate(node.metadata)
    except ValidationError as error:
        tell_all(error, node.metadata, findings, node.path("metadata"), node.id)
    check = _NEEDS.get(node.kind or "")
    if check is not None:
        check(node, findings)


def _need(node: NodeDraft, findings: Findings, name: str, why: str) -> None:
    if node.metadata.get(name) in (None, "", []):
        message = f"Node {show(node.id)} lacks {name!r}: {why}."
        findings.add("missing_metadata", message, node.path("metadata", name), node_id=node.id)


def _db(node: NodeDraft, findings: Findings) -> None:
    _need(node, findings, "query", "the SQL to run")


def _api(node: NodeDraft, findings: Findings) -> None:
    if not node.metadata.get("url"):
        _need(node, findings, "path", "what to ask of the source's base_url")


def _aggregator(node: NodeDraft, findings: Findings) -> None:
    strategy = node.metadata.get("strategy")
    if strategy in ("template", "expression"):
        _need(node, findings, strategy, f"strategy {strategy!r} is made of it")
    elif strategy == "priority" and not node.metadata.get("source_keys"):
        _need(node, findings, "priority_order", "the keys in the order they are tried")


def _router(node: NodeDraft, findings: Findings) -> None:
    strategy = node.metadata.get("strategy", "keyword")
    if strategy == "default":
        _need(node, findings, "default_intent", "strategy 'default' sets it")
        return
    if strategy not in (*_ROUTE_NEEDS, "llm", "ml"):
        return
    _need(node, findings, "routes", "the intents to choose from")
    routes = node.metadata.get("routes")
    wanted = _ROUTE_NEEDS.get(strategy)
    if wanted is None or not isinstance(routes, list):
        return
    for number, route in enumerate(routes):
        if isinstance(route, Mapping) and route.get(wanted) in (None, "", []):
            message = f"A route of strategy {strategy!r} needs {wanted!r}."
            path = node.path("metadata", "routes", number, wanted)
            findings.add("missing_metadata", message, path, node_id=node.id)


_NEEDS: Final[dict[str, Callable[[NodeDraft, Findings], Any]]] = {
    "db": _db,
    "api": _api,
    "aggregator": _aggregator,
    "router": _router,
}
