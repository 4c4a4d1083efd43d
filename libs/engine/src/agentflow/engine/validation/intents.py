"""Intents: each route of a router should find its own target on an `intent` edge.

A target is found by equal id, else by being the only one whose id contains the intent. A route
that finds none or several would silently go to the first target, so it is warned of.
"""

from collections.abc import Iterator, Mapping

from agentflow.engine.conditions import edge_condition_kind
from agentflow.engine.validation.draft import Draft, EdgeDraft, NodeDraft
from agentflow.engine.validation.findings import Findings, Path, show
from agentflow.engine.validation.graph import names


def check_intents(draft: Draft, findings: Findings) -> None:
    """Warn of every route whose intent fits no target, or several."""
    for edge in draft.edges:
        router = draft.by_id.get(edge.source) if edge.source else None
        condition = edge.raw.get("condition")
        if (
            router is not None
            and router.kind == "router"
            and isinstance(condition, str)
            and len(edge.targets) > 1
            and edge_condition_kind(condition, edge.targets) == "intent"
        ):
            _check_edge(edge, router, findings)


def _check_edge(edge: EdgeDraft, router: NodeDraft, findings: Findings) -> None:
    for intent, path in _intents(router):
        if intent in edge.targets:
            continue
        fitting = [target for target in edge.targets if intent in target]
        if len(fitting) == 1:
            continue
        fits = f"fits {names(fitting)}" if fitting else "fits no target"
        findings.add(
            "unroutable_intent",
            f"The intent {show(intent)} {fits} of the edge from {show(router.id)}; "
            f"{show(edge.targets[0])} is taken.",
            path,
            node_id=router.id,
            hint=findings.did_you_mean(intent, edge.targets),
        )


def _intents(router: NodeDraft) -> Iterator[tuple[str, Path]]:
    routes = router.metadata.get("routes")
    for number, route in enumerate(routes if isinstance(routes, list) else ()):
        if isinstance(route, Mapping) and isinstance(route.get("intent"), str):
            yield route["intent"], router.path("metadata", "routes", number, "intent")
    default = router.metadata.get("default_intent")
    if isinstance(default, str):
        yield default, router.path("metadata", "default_intent")
