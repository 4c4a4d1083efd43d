"""The gate every query passes: one statement, made of allowed pieces only, nothing written.

The query is parsed, every node of its tree must be on the list, and what runs is written
anew from that tree: comments, odd quoting and whatever our parser and the database's might
read differently do not survive. The gate is one of six layers; it is never the only one.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from agentflow.contracts.errors import NodeFailed
from agentflow.node_workers.sql.allowed import FUNCTIONS, NAMES, NODES, PAD_LIMIT, SqlDialect

MAX_QUERY_CHARS = 100_000
MAX_NODES = 20_000
_CATALOG = re.compile(r"pg_|sqlite_(?!schema$|master$)|pragma_", re.IGNORECASE)
_SCHEMAS: dict[SqlDialect, Callable[[str], bool]] = {
    "postgres": lambda name: not name.startswith("pg_"),
    "sqlite": lambda name: name in ("main", ""),
}


class QueryRefused(NodeFailed):
    """The query is not a single read-only query of allowed pieces."""

    def __init__(self, why: str, hint: str | None = None) -> None:
        super().__init__(
            "query_refused",
            f"The query is refused: {why}.",
            hint=hint
            or "A db node runs one SELECT; see the list of allowed functions in the docs.",
        )


@dataclass(frozen=True, slots=True)
class GatedQuery:
    """A query that passed: the text to run and the names its parameters go by, in order.

    PostgreSQL text has `$1, $2 …` in the order of `names`, SQLite text has `:name`.
    Positional parameters are in their order; SQLite's are called `p1`, `p2` ….
    """

    text: str
    names: tuple[str, ...]
    positional: bool


class SqlGate:
    """Checks queries of one dialect; what it found is kept for the next time."""

    def __init__(self, dialect: SqlDialect, keep: int = 1024) -> None:
        self._dialect = dialect
        # It warns with the text of the query for what we refuse anyway.
        logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
        self._nodes: frozenset[type[exp.Expr]] = frozenset(
            getattr(exp, name) for name in NODES | FUNCTIONS
        )
        self._names = NAMES[dialect]
        self.pass_through = lru_cache(maxsize=keep)(self._pass)

    def _pass(self, sql: str, limit: int, offset: int) -> GatedQuery:
        """The query with at most `limit` rows from `offset`; raises QueryRefused."""
        numbered, marks = self._marks(sql)
        query = self._parse(numbered)
        self._walk(query)
        names, positional = _bind(query, self._dialect, marks)
        text = self._write(_bounded(query, limit, offset))
        # What we wrote must read as the same kind of thing.
        self._walk(self._parse(text))
        return GatedQuery(text, names, positional)

    def _marks(self, sql: str) -> tuple[str, int]:
        if len(sql) > MAX_QUERY_CHARS:
            raise QueryRefused(f"it is longer than {MAX_QUERY_CHARS:,} characters")
        if "\x00" in sql:
            raise QueryRefused("it holds a NUL character")
        try:
            return _number_marks(sql, self._dialect)
        except SqlglotError as error:
            raise QueryRefused(f"it cannot be read{_place(error)}") from None

    def _parse(self, sql: str) -> exp.Query:
        try:
            statements = [s for s in sqlglot.parse(sql, dialect=self._dialect) if s is not None]
        except (SqlglotError, RecursionError, ValueError) as error:
            raise QueryRefused(f"it cannot be parsed{_place(error)}") from None
        if len(statements) != 1:
            raise QueryRefused(f"it holds {len(statements)} statements instead of one")
        statement = statements[0]
        if not isinstance(statement, exp.Query):
            raise QueryRefused(f"{_name(statement)} is not a query")
        return statement

    def _walk(self, query: exp.Query) -> None:
        for count, node in enumerate(query.walk()):
            if count > MAX_NODES:
                raise QueryRefused(f"it has more than {MAX_NODES:,} parts")
            if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc | exp.CombinedAggFunc):
                self._check_name(node)
            elif type(node) not in self._nodes:
                raise QueryRefused(f"{_name(node)} is not allowed")
            if (check := _CHECKS.get(type(node))) is not None:
                check(node, self._dialect)

    def _check_name(self, node: exp.Expr) -> None:
        name = str(node.this).lower()
        if not isinstance(node.this, str) or name not in self._names:
            raise QueryRefused(f"the function {name[:60]!r} is not allowed")

    def _write(self, query: exp.Query) -> str:
        try:
            return query.sql(dialect=self._dialect, comments=False)
        except (SqlglotError, RecursionError, ValueError):
            raise QueryRefused("it cannot be written in the database's dialect") from None


def _check_table(table: exp.Expr, dialect: SqlDialect) -> None:
    schema, name = str(table.args.get("db") or ""), table.name
    unquoted = getattr(table.args.get("db"), "name", schema).lower()
    if table.args.get("catalog"):
        raise QueryRefused(f"it names another database ({table.name})")
    if schema and not _SCHEMAS[dialect](unquoted):
        raise QueryRefused(f"the schema {unquoted!r} is not for queries")
    if schema and not isinstance(table.this, exp.Identifier):
        raise QueryRefused("a function with a schema is not allowed")
    if isinstance(table.this, exp.Identifier) and _CATALOG.match(name):
        raise QueryRefused(f"the system table {name!r} is not for queries")


def _check_pad(pad: exp.Expr, _dialect: SqlDialect) -> None:
    width = pad.args.get("expression")
    if not isinstance(width, exp.Literal) or not width.is_int or int(width.name) > PAD_LIMIT:
        raise QueryRefused(f"padding needs a literal width up to {PAD_LIMIT:,}")


def _check_dot(dot: exp.Expr, _dialect: SqlDialect) -> None:
    """`schema.function()` would get round the list of names."""
    if isinstance(dot.args.get("expression"), exp.Func):
        raise QueryRefused("a function with a schema is not allowed")


def _check_with(clause: exp.Expr, _dialect: SqlDialect) -> None:
    for cte in clause.expressions:
        if not isinstance(cte.this, exp.Query):
            raise QueryRefused(f"{_name(cte.this)} in WITH is not a query")


def _check_identifier(identifier: exp.Expr, _dialect: SqlDialect) -> None:
    """SQLite's `$name` and `@name` would be parameters nobody binds."""
    if identifier.name.startswith(("$", "@")) and not identifier.args.get("quoted"):
        raise QueryRefused(f"{identifier.name!r} is not a parameter", "Write :name, or ?.")


_CHECKS: dict[type[exp.Expr], Callable[[Any, SqlDialect], None]] = {
    exp.Identifier: _check_identifier,
    exp.Table: _check_table,
    exp.Pad: _check_pad,
    exp.Dot: _check_dot,
    exp.With: _check_with,
}


def _number_marks(sql: str, dialect: SqlDialect) -> tuple[str, int]:
    """Write `?` and `?2` as `:p1` and `:p2`, in the order of the text; gives how many.

    Only SQLite has them: the tree does not keep the order of the text, and in PostgreSQL a
    question mark is an operator.
    """
    if dialect != "sqlite" or "?" not in sql:
        return sql, 0
    tokens = sqlglot.tokenize(sql, dialect=dialect)
    pieces: list[str] = []
    done = marks = 0
    for index, token in enumerate(tokens):
        if token.token_type != TokenType.PLACEHOLDER or token.text != "?":
            continue
        end, number = token.end + 1, str(marks + 1)
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        if following is not None and following.start == end and following.text.isdecimal():
            end, number = following.end + 1, following.text
        pieces += [sql[done : token.start], f":p{number}"]
        done, marks = end, marks + 1
    return "".join([*pieces, sql[done:]]), marks


def _bind(query: exp.Query, dialect: SqlDialect, marks: int) -> tuple[tuple[str, ...], bool]:
    """Rewrite all placeholders to the driver's form; gives their names and kind."""
    found: dict[str, list[exp.Expr]] = {}
    for node in query.find_all(exp.Placeholder, exp.Parameter):
        name = node.this.name if isinstance(node.this, exp.Expr) else node.this
        if not name or name == "?":
            raise QueryRefused("it has an unnumbered parameter", "Write :name, or $1, $2, …")
        found.setdefault(str(name), []).append(node)
    numbered = (
        [name for name in found if name.lstrip("p").isdecimal()]
        if marks
        else [name for name in found if name.isdecimal()]
    )
    if numbered and len(numbered) != len(found):
        raise QueryRefused("it mixes named and positional parameters")
    if numbered:
        numbers = sorted(int(name.lstrip("p")) for name in numbered)
        if numbers != list(range(1, len(numbers) + 1)):
            raise QueryRefused("its positional parameters are not numbered from 1")
    names = sorted(found, key=lambda name: int(name.lstrip("p"))) if numbered else list(found)
    for place, name in enumerate(names, start=1):
        for holder in found[name]:
            holder.replace(_driver_form(name, place, dialect))
    return tuple(names), bool(numbered)


def _driver_form(name: str, place: int, dialect: SqlDialect) -> exp.Expr:
    if dialect == "postgres":
        return exp.Parameter(this=exp.Literal.number(place))
    return exp.Placeholder(this=f"p{name}" if name.isdecimal() else name)


def _bounded(query: exp.Query, limit: int, offset: int) -> exp.Query:
    """At most `limit` rows from `offset`, without touching what the query says itself."""
    own = query.args.get("limit"), query.args.get("offset"), query.args.get("fetch")
    if own == (None, None, None):
        bounded = query.limit(limit, copy=False)
        return bounded.offset(offset, copy=False) if offset else bounded
    outer = exp.select("*").from_(query.subquery("page"))
    return outer.limit(limit).offset(offset) if offset else outer.limit(limit)


def _name(node: exp.Expr) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(node).__name__)
    if isinstance(node, exp.Command):
        words = str(node.this)
    return words.upper()


def _place(error: Exception) -> str:
    details = getattr(error, "errors", None)
    if details and details[0].get("line"):
        return f" at line {details[0]['line']}, column {details[0]['col']}"
    return ""
