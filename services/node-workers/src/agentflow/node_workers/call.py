"""NodeCall: everything a node type may know about the run it is asked for."""

from dataclasses import dataclass
from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.ids import DEFAULT_TENANT, TenantId
from agentflow.contracts.spec import Node, Source, SourceKind
from agentflow.contracts.state import JsonObject


@dataclass(frozen=True, slots=True)
class NodeCall:
    """One attempt. `effect_key` is the same for all attempts of a node of an execution."""

    node: Node
    source: Source | None
    state: JsonObject
    effect_key: str
    tenant: TenantId = DEFAULT_TENANT

    def need_source(self, kind: SourceKind) -> Source:
        """The source; raises NodeFailed `invalid_request` when it is missing or another kind."""
        source = self.source
        if source is None:
            raise NodeFailed(
                "invalid_request",
                f"The {self.node.type} node {self.node.id!r} has no source.",
                hint=f"Name a source of kind {kind!r} in metadata.source_id.",
            )
        if source.kind != kind:
            raise NodeFailed(
                "invalid_request",
                f"The source {source.id!r} is of kind {source.kind!r}, not {kind!r}.",
            )
        return source

    def option(self, name: str, default: Any = None) -> Any:
        """A setting of the node, else of its source, else `default`."""
        if (value := self.node.metadata.get(name)) is not None:
            return value
        if self.source is not None and (value := self.source.config.get(name)) is not None:
            return value
        return default
