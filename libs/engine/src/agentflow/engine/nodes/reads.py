"""Which top-level state keys a node needs, so that a task carries only those.

Always an over-approximation: a key too many costs bytes, a key too few would change results.
`outputs.<node id>` stands for one node's output. None means: it may read anything.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from agentflow.contracts.spec import Node
from agentflow.engine.conditions import compile_condition
from agentflow.engine.errors import BadText
from agentflow.engine.rules import compile_rule
from agentflow.engine.state_keys import condition_keys
from agentflow.engine.templates import SimpleTemplate, compile_template

_NAME: Final = re.compile(r"[^\W\d][\w-]*(?:\.[\w-]+)*")
_SUMMARY: Final = frozenset({"execution_path", "tokens_used", "cost"})
_ALWAYS: Final = frozenset({"user_input"})
_NO_STATE: Final = frozenset(
    {"source_id", "source", "output_key", "template_engine", "method", "pool", "response_schema"}
)
"""Settings of nodes run by workers that never name a state key."""
_WORKER_KINDS: Final = frozenset({"llm", "image", "db", "api"})


def reads(node: Node) -> frozenset[str] | None:
    """The state keys the node may read; None: any."""
    if node.kind == "aggregator":
        return _aggregator_reads(node.metadata)
    if node.kind == "router" and node.metadata.get("strategy") == "default":
        return frozenset()
    if node.kind not in _WORKER_KINDS:
        return None
    named = {key: value for key, value in node.metadata.items() if key not in _NO_STATE}
    return _union([_ALWAYS, _everything_named(named, node.metadata)])


def reads_given(node: Node, keys: Collection[str]) -> frozenset[str] | None:
    """The same, knowing which keys the state has: a router with its input there reads little."""
    if node.kind == "router" and node.metadata.get("strategy") in (
        None,
        "keyword",
        "pattern",
        "rules",
    ):
        wanted = _text(node.metadata.get("input_key")) or "user_input"
        routes = node.metadata.get("routes")
        if wanted in keys and isinstance(routes, list):
            return _union([frozenset({wanted}), *(_rule_names(route) for route in routes)])
    return reads(node)


def _aggregator_reads(metadata: Mapping[str, Any]) -> frozenset[str] | None:
    parts: list[frozenset[str] | None] = []
    strategy = metadata.get("strategy", "merge")
    if strategy == "template":
        parts.append(_template_names(metadata.get("template"), metadata))
    elif strategy == "expression":
        parts.append(_condition_names(metadata.get("expression")))
    else:
        keys = [*_texts(metadata.get("priority_order")), *_texts(metadata.get("source_keys"))]
        parts += [_names_of(key) for key in keys] or [frozenset({"outputs"})]
    if metadata.get("include_metadata", True) is not False:
        parts += [_SUMMARY, _everything_named(metadata.get("custom_fields"), metadata)]
    return _union(parts)


def _everything_named(setting: Any, metadata: Mapping[str, Any]) -> frozenset[str] | None:
    """Every name any text in `setting` could mean, as a template or as a bare name."""
    parts: list[frozenset[str] | None] = []
    for text in _all_texts(setting):
        parts.append(_template_names(text, metadata))
        if _NAME.fullmatch(text):
            parts.append(_names_of(text))
    return _union(parts)


def _template_names(text: Any, metadata: Mapping[str, Any]) -> frozenset[str] | None:
    try:
        template = compile_template(text, metadata.get("template_engine", "simple"))
    except BadText:
        return None
    if not isinstance(template, SimpleTemplate):
        return template.names
    return _union([_names_in_path(path) for path in template.placeholders])


def _names_in_path(path: str) -> frozenset[str]:
    first, _, rest = path.partition(".")
    node_id = rest.partition(".")[0]
    return frozenset({f"outputs.{node_id}" if first == "outputs" and node_id else first})


def _condition_names(text: Any) -> frozenset[str] | None:
    try:
        return condition_keys(compile_condition(text))
    except BadText:
        return None


def _rule_names(route: Any) -> frozenset[str] | None:
    condition = route.get("condition") if isinstance(route, Mapping) else None
    try:
        return frozenset() if condition is None else compile_rule(condition).names
    except BadText:
        return None


def _names_of(name: str) -> frozenset[str]:
    """What `find` may look at for `name`: the key, the first step of the path, a node's output."""
    steps = name.split(".")
    if steps[0] == "outputs" and len(steps) > 1:
        return frozenset({name, f"outputs.{steps[1]}"})
    return frozenset({name, steps[0], f"outputs.{steps[0]}", f"outputs.{name}"})


def _all_texts(setting: Any) -> Iterator[str]:
    waiting = [setting]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list | tuple):
            waiting += item


def _texts(value: Any) -> list[str]:
    return (
        [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _union(parts: list[frozenset[str] | None]) -> frozenset[str] | None:
    names: set[str] = set()
    for part in parts:
        if part is None:
            return None
        names |= part
    return frozenset(names)
