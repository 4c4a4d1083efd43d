"""The safety net under every repository: no tenant, no query.

A SELECT, UPDATE or DELETE that touches a tenant-owned table must compare that table's
`tenant` column with a value (or with another table's tenant); otherwise it is refused
before it reaches the database. The rare query over all tenants says so, with its reason.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql import operators, visitors
from sqlalchemy.sql.dml import Delete, Update
from sqlalchemy.sql.elements import BinaryExpression, ColumnElement
from sqlalchemy.sql.expression import ColumnClause
from sqlalchemy.sql.schema import Table
from sqlalchemy.sql.selectable import Alias, FromClause, Select

from agentflow.storage.errors import UnscopedQuery

ALL_TENANTS = "agentflow_all_tenants"
"""Execution option: the reason why this statement may see every tenant."""


def refuse_unscoped_queries(engine: AsyncEngine) -> None:
    """Put the net under `engine`."""

    @event.listens_for(engine.sync_engine, "before_execute")
    def on_execute(
        _connection: Connection,
        statement: Any,
        _many: Any,
        _params: Any,
        options: dict[str, Any],
    ) -> None:
        if not options.get(ALL_TENANTS):
            check_scope(statement)


def check_scope(statement: Any) -> None:
    """Raise UnscopedQuery if `statement` reads or changes a tenant-owned table without a tenant."""
    for query in _queries(statement):
        bound = set(_bound_tables(query))
        for table in _tables(query):
            if table not in bound:
                raise UnscopedQuery(
                    f"A query on {_name(table)} does not name the tenant.",
                    hint="Compare its tenant column, or give the ALL_TENANTS option a reason.",
                )


def _queries(statement: Any) -> Iterator[Select[Any] | Update | Delete]:
    if not isinstance(statement, visitors.ExternallyTraversible):
        return
    for element in visitors.iterate(statement):
        if isinstance(element, Select | Update | Delete):
            yield element


def _tables(query: Select[Any] | Update | Delete) -> Iterator[FromClause]:
    roots: Iterable[Any] = query.get_final_froms() if isinstance(query, Select) else (query.table,)
    for root in roots:
        for element in _leaves(root):
            if _base(element).info.get("tenant_owned"):
                yield element


def _leaves(root: Any) -> Iterator[FromClause]:
    """The tables joined in `root`; a sub-query is checked as a query of its own."""
    left, right = getattr(root, "left", None), getattr(root, "right", None)
    if isinstance(left, FromClause) and isinstance(right, FromClause):
        yield from _leaves(left)
        yield from _leaves(right)
    elif isinstance(_base(root), Table):
        yield root


def _bound_tables(query: Select[Any] | Update | Delete) -> Iterator[FromClause]:
    conditions: list[Any] = [query.whereclause] if query.whereclause is not None else []
    if isinstance(query, Select):
        for root in query.get_final_froms():
            conditions.extend(_join_conditions(root))
    for condition in conditions:
        for clause in _conjuncts(condition):
            yield from _tenants_compared(clause)


def _join_conditions(root: Any) -> Iterator[ColumnElement[Any]]:
    onclause = getattr(root, "onclause", None)
    if onclause is not None:
        yield onclause
        yield from _join_conditions(root.left)
        yield from _join_conditions(root.right)


def _conjuncts(condition: Any) -> Iterator[Any]:
    """The parts that must all hold; what stands under an OR binds nothing."""
    if getattr(condition, "operator", None) is operators.and_:
        for clause in condition.clauses:
            yield from _conjuncts(clause)
    else:
        yield condition


def _tenants_compared(clause: Any) -> Iterator[FromClause]:
    if isinstance(clause, BinaryExpression) and clause.operator is operators.eq:
        for side in (clause.left, clause.right):
            if isinstance(side, ColumnClause) and side.name == "tenant" and side.table is not None:
                yield side.table


def _base(element: Any) -> Any:
    while isinstance(element, Alias):
        element = element.element
    return element


def _name(table: FromClause) -> str:
    return str(getattr(_base(table), "name", table))
