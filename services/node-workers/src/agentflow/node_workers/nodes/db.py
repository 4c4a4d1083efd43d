"""db nodes: one read-only query with bound parameters, its rows as JSON.

The query itself is never a template; `params` are: `"{order_id}"` binds the value of that
state key with its type.
"""

from typing import Any

from agentflow.contracts.errors import NodeFailed
from agentflow.contracts.result import NodeResult
from agentflow.contracts.spec import Source
from agentflow.engine.nodes import default_output_key
from agentflow.node_workers.call import NodeCall
from agentflow.node_workers.pools import SourcePool, source_key
from agentflow.node_workers.sql.database import Database, DbQuery
from agentflow.node_workers.sql.registry import Databases
from agentflow.node_workers.templating import Renderer

DEFAULT_LIMIT = 100
MAX_LIMIT = 100_000
DEFAULT_TIMEOUT = 30.0


class DbNode:
    """Reads from the database of the node's source."""

    def __init__(self, databases: Databases, max_sources: int) -> None:
        self._databases = databases
        self._pool: SourcePool[Database] = SourcePool(max_sources)

    async def run(self, call: NodeCall) -> NodeResult:
        source = call.need_source("db")
        query, warnings = build_query(call, source)
        async with self._pool.lease(
            source_key(call.tenant, source), lambda: self._databases.make(call.tenant, source)
        ) as database:
            found = await database.read(query)
        if found.more:
            warnings.append(
                f"Only the first {query.limit} rows were kept; raise limit or page with offset."
            )
        return NodeResult(
            output=found.rows,
            output_key=default_output_key(call.node),
            input={"query": query.sql, "params": query.params},
            warnings=tuple(warnings),
        )

    async def aclose(self) -> None:
        await self._pool.aclose()
        self._databases.close()


def build_query(call: NodeCall, source: Source) -> tuple[DbQuery, list[str]]:
    """The query of a node's settings and the state; with warnings."""
    metadata = call.node.metadata
    sql = metadata.get("query")
    if not isinstance(sql, str) or not sql.strip():
        raise NodeFailed("invalid_request", f"The db node {call.node.id!r} has no query.")
    renderer = Renderer(call.state, metadata.get("template_engine"))
    params = renderer.value(metadata.get("params") or {})
    if not isinstance(params, dict | list):
        raise NodeFailed(
            "invalid_request", f"The params of the db node {call.node.id!r} are no object or list."
        )
    query = DbQuery(
        sql=sql,
        params=params,
        limit=_whole(call, renderer, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT),
        offset=_whole(call, renderer, "offset", 0, 0, 2**53),
        timeout=_seconds(call, source),
        decimals="number" if call.option("decimals") == "number" else "string",
    )
    return query, renderer.warnings


def _whole(
    call: NodeCall, renderer: Renderer, name: str, default: int, least: int, most: int
) -> int:
    value: Any = renderer.value(call.node.metadata.get(name, default))
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = least - 1
    if not least <= number <= most:
        raise NodeFailed(
            "invalid_request",
            f"The {name} of the db node {call.node.id!r} must be from {least} to {most:,}.",
        )
    return number


def _seconds(call: NodeCall, source: Source) -> float:
    value = call.node.metadata.get("timeout", source.config.get("timeout", DEFAULT_TIMEOUT))
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise NodeFailed(
            "invalid_request", f"The timeout of the db node {call.node.id!r} is not in seconds."
        )
    return seconds
