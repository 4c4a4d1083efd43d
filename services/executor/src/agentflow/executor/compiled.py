"""Workflows compiled once per definition, kept by the hash of their JSON.

A definition is immutable under its hash, so an execution goes on with the one it started
with, whatever is stored under the workflow's id later.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

import orjson
from pydantic import ValidationError

from agentflow.bus.definitions import Definitions
from agentflow.contracts.commands import ExecuteWorkflow
from agentflow.contracts.errors import InvalidSpec
from agentflow.contracts.spec import Source, WorkflowSpec
from agentflow.engine.plan import compile_plan
from agentflow.engine.plan_parts import Plan
from agentflow.engine.validation import validate_spec
from agentflow.executor.errors import UnknownWorkflow

_LARGE = 200
"""Nodes above which validating moves off the event loop."""


@dataclass(frozen=True)
class CompiledWorkflow:
    """A valid spec, its plan, and the stored sources it names."""

    spec: WorkflowSpec
    plan: Plan
    sources: dict[str, Source]
    workflow_id: str | None = None
    version: int | None = None

    @cached_property
    def first_counts(self) -> bool:
        """Whether a join takes whoever is first in the log."""
        return any(node.any_join for node in self.plan.nodes)


class Compiler:
    """Finds, validates and compiles the workflow a command names."""

    def __init__(self, definitions: Definitions, keep: int) -> None:
        self._definitions = definitions
        self._keep = keep
        self._known: OrderedDict[str, CompiledWorkflow] = OrderedDict()

    async def for_command(
        self, command: ExecuteWorkflow, version: int | None = None
    ) -> CompiledWorkflow:
        """The compiled workflow; raises UnknownWorkflow or InvalidSpec with all issues.

        `version` is the stored one to take where the command names none.
        """
        document, version = await self._document(command, version)
        key = _key(command.tenant, document, version)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
            return known
        compiled = await self._compile(command, document, version)
        if not _names_stored_sources(compiled):
            # Stored sources may be changed; whoever names one is compiled anew each time.
            self._known[key] = compiled
            if len(self._known) > self._keep:
                self._known.popitem(last=False)
        return compiled

    async def _document(
        self, command: ExecuteWorkflow, version: int | None
    ) -> tuple[Any, int | None]:
        if command.workflow is not None:
            return command.workflow, None
        workflow_id = command.workflow_id or ""
        wanted = command.workflow_version or version
        found = await self._definitions.get_workflow(command.tenant, workflow_id, wanted)
        if found is None:
            named = f" version {wanted}" if wanted else ""
            raise UnknownWorkflow(f"No workflow {workflow_id!r}{named} is stored.")
        return found

    async def _compile(
        self, command: ExecuteWorkflow, document: Any, version: int | None
    ) -> CompiledWorkflow:
        sources = await self._stored_sources(command.tenant, document)
        kinds = {source.id: source for source in sources.values()}
        nodes = document.get("nodes") if isinstance(document, dict) else None
        if isinstance(nodes, list) and len(nodes) > _LARGE:
            spec, plan = await asyncio.to_thread(_compile, document, kinds)
        else:
            spec, plan = _compile(document, kinds)
        return CompiledWorkflow(spec, plan, sources, command.workflow_id, version)

    async def _stored_sources(self, tenant: str, document: Any) -> dict[str, Source]:
        found: dict[str, Source] = {}
        for source_id in _missing_sources(document):
            stored = await self._definitions.get_source(tenant, source_id)
            if stored is not None:
                try:
                    found[source_id] = Source.model_validate(stored)
                except ValidationError:
                    raise InvalidSpec(f"The stored source {source_id!r} is not valid.") from None
        return found


def _compile(document: Any, sources: dict[str, Source]) -> tuple[WorkflowSpec, Plan]:
    checked = validate_spec(document, known_sources=sources)
    if checked.spec is None or not checked.valid:
        count = len(checked.errors)
        raise InvalidSpec(
            f"The workflow has {count} error{'' if count == 1 else 's'}.", issues=checked.errors
        )
    return checked.spec, compile_plan(checked.spec)


def _key(tenant: str, document: Any, version: int | None) -> str:
    digest = sha256(orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)).hexdigest()
    return f"{tenant}/{version}/{digest}"


def _missing_sources(document: Any) -> set[str]:
    """Source ids that nodes name and the spec does not hold itself."""
    if not isinstance(document, dict):
        return set()
    inlined = {s.get("id") for s in _dicts(document.get("sources"))}
    named: set[str] = set()
    for node in _dicts(document.get("nodes")):
        metadata = node.get("metadata")
        places = (node, metadata if isinstance(metadata, dict) else {})
        for place in places:
            for key in ("source_id", "source"):
                value = place.get(key)
                if isinstance(value, str) and value and "." not in value and " " not in value:
                    named.add(value)
    return {s for s in named if s not in inlined and s.replace("-", "").replace("_", "").isalnum()}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _names_stored_sources(compiled: CompiledWorkflow) -> bool:
    return bool(compiled.sources)
