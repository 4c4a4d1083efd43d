"""Reports by content: the same question of the same tenant is answered from memory.

A spec that names stored sources is checked anew each time, because those may change. Checks
run in threads, so that the leases of other questions are renewed meanwhile.
"""

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import orjson

from agentflow.bus.definitions import Definitions
from agentflow.contracts.commands import ValidateWorkflow
from agentflow.contracts.errors import AgentflowError
from agentflow.contracts.ids import is_token
from agentflow.contracts.problem import Issue
from agentflow.contracts.replies import ValidationReport
from agentflow.contracts.spec import Source
from agentflow.contracts.strict_json import JsonLimits, parse_json
from agentflow.validator.checker import CheckLimits, Question, check, invalid, preload
from agentflow.validator.settings import ValidatorSettings

_MEBIBYTE = 1024 * 1024
_MAX_SOURCES = 100
_THREADS = 2


class Reports:
    """Answers questions; `close()` when done."""

    def __init__(self, definitions: Definitions, settings: ValidatorSettings) -> None:
        self._definitions = definitions
        self._capacity = settings.cache_entries
        self.json_limits = JsonLimits(max_bytes=int(settings.max_command_mib * _MEBIBYTE))
        self._limits = CheckLimits(settings.compile_nodes, settings.max_issues)
        self._known: OrderedDict[bytes, ValidationReport] = OrderedDict()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="validate")

    async def preload(self) -> None:
        """Begin to load LangGraph; the first questions wait for it, the start does not."""
        self._threads.submit(preload)

    async def close(self) -> None:
        """Let the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def on(self, command: ValidateWorkflow) -> ValidationReport:
        """The report on the command's workflow."""
        name = _name(command)
        known = self._known.get(name)
        if known is not None:
            self._known.move_to_end(name)
            return known
        run = asyncio.get_running_loop().run_in_executor
        try:
            document = await run(self._threads, _document, command, self.json_limits)
        except AgentflowError as error:
            return invalid([Issue(code=error.code, message=error.message)])
        wanted = stored_sources_named(document)
        sources = await self._sources(command.tenant, wanted)
        question = Question(document, command.text, command.plan, command.node)
        report = await run(self._threads, check, question, sources, self._limits)
        if not wanted:
            self._keep(name, report)
        return report

    async def _sources(self, tenant: str, wanted: list[str]) -> dict[str, Source]:
        found: dict[str, Source] = {}
        for source_id in wanted[:_MAX_SOURCES]:
            stored = await self._definitions.get_source(tenant, source_id)
            if stored is not None:
                found[source_id] = Source.model_validate(stored)
        return found

    def _keep(self, name: bytes, report: ValidationReport) -> None:
        self._known[name] = report
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)


def stored_sources_named(document: Any) -> list[str]:
    """Ids that nodes name and the spec does not hold itself; empty for what is no spec."""
    if not isinstance(document, dict):
        return []
    inlined = {source.get("id") for source in _objects(document.get("sources"))}
    named: dict[str, None] = {}
    for node in _objects(document.get("nodes")):
        metadata = node.get("metadata")
        for holder in (node, metadata if isinstance(metadata, dict) else {}):
            for key in ("source_id", "source"):
                value = holder.get(key)
                if isinstance(value, str) and is_token(value) and value not in inlined:
                    named[value] = None
    return list(named)


def _document(command: ValidateWorkflow, limits: JsonLimits) -> Any:
    if command.text is None:
        return command.workflow
    return parse_json(command.text.encode("utf-8", "surrogatepass"), limits)


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _name(command: ValidateWorkflow) -> bytes:
    """Tenant, question and content; text and parsed JSON of the same spec are two questions."""
    content = command.text if command.text is not None else command.workflow
    asked = orjson.dumps([command.tenant, command.plan, command.node, command.text is None])
    text = content if isinstance(content, str) else orjson.dumps(content)
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return sha256(asked + raw).digest()
