"""The gate alone, without a database behind it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.errors import NodeFailed
from agentflow.node_workers.sql.allowed import FUNCTIONS, NAMES, NODES, SqlDialect
from agentflow.node_workers.sql.gate import QueryRefused, SqlGate
from tests.unit.node_workers.sql_corpus import (
    HONEST,
    HONEST_POSTGRES,
    HONEST_SQLITE,
    REFUSED_POSTGRES,
    REFUSED_SQLITE,
)


@pytest.fixture(scope="module")
def postgres() -> SqlGate:
    return SqlGate("postgres")


@pytest.fixture(scope="module")
def sqlite() -> SqlGate:
    return SqlGate("sqlite")


@pytest.mark.parametrize("sql", REFUSED_POSTGRES)
def test_postgres_attempts_are_refused(postgres: SqlGate, sql: str) -> None:
    with pytest.raises(QueryRefused):
        postgres.pass_through(sql, 10, 0)


@pytest.mark.parametrize("sql", REFUSED_SQLITE)
def test_sqlite_attempts_are_refused(sqlite: SqlGate, sql: str) -> None:
    with pytest.raises(QueryRefused):
        sqlite.pass_through(sql, 10, 0)


@pytest.mark.parametrize("sql", HONEST + HONEST_POSTGRES)
def test_honest_postgres_questions_pass(postgres: SqlGate, sql: str) -> None:
    assert postgres.pass_through(sql, 10, 0).text


@pytest.mark.parametrize("sql", HONEST + HONEST_SQLITE)
def test_honest_sqlite_questions_pass(sqlite: SqlGate, sql: str) -> None:
    assert sqlite.pass_through(sql, 10, 0).text


@pytest.mark.parametrize("dialect", ["postgres", "sqlite"])
def test_no_list_names_what_waits_writes_or_looks_around(dialect: SqlDialect) -> None:
    for name in NAMES[dialect]:
        assert not name.startswith(("pg_", "lo_", "dblink", "set_", "current_setting", "load_"))
    assert {"Insert", "Update", "Delete", "Command", "Into", "Lock", "Set"}.isdisjoint(NODES)
    assert {"NextValueFor", "Anonymous", "ReadCSV"}.isdisjoint(FUNCTIONS)


def test_comments_do_not_reach_the_database(postgres: SqlGate) -> None:
    text = postgres.pass_through("SELECT 1 /* DROP */ AS a -- x", 10, 0).text
    assert text == "SELECT 1 AS a LIMIT 10"


def test_rows_are_bounded_and_the_querys_own_limit_stays(postgres: SqlGate) -> None:
    plain = postgres.pass_through("SELECT id FROM t", 11, 20)
    assert plain.text == "SELECT id FROM t LIMIT 11 OFFSET 20"
    own = postgres.pass_through("SELECT id FROM t ORDER BY id LIMIT 3", 11, 1)
    assert own.text.endswith("(SELECT id FROM t ORDER BY id LIMIT 3) AS page LIMIT 11 OFFSET 1")


def test_named_parameters_are_bound_in_the_drivers_form(postgres: SqlGate, sqlite: SqlGate) -> None:
    sql = "SELECT id FROM t WHERE a = :x AND b = :y OR c = :x"
    bound = postgres.pass_through(sql, 10, 0)
    assert bound.names == ("x", "y")
    assert "a = $1 AND b = $2 OR c = $1" in bound.text
    assert "a = :x AND b = :y OR c = :x" in sqlite.pass_through(sql, 10, 0).text


def test_question_marks_count_in_the_order_of_the_text(sqlite: SqlGate) -> None:
    """The tree visits WITH last; the text has it first."""
    sql = "WITH a AS (SELECT ? AS x) SELECT '?', x FROM a WHERE x = ? -- ?"
    bound = sqlite.pass_through(sql, 10, 0)
    assert bound.positional
    assert bound.names == ("p1", "p2")
    assert bound.text.startswith("WITH a AS (SELECT :p1 AS x) SELECT '?', x FROM a WHERE x = :p2")


@pytest.mark.parametrize("sql", ["SELECT $2", "SELECT :a, $1"])
def test_parameters_that_cannot_be_counted_are_refused(postgres: SqlGate, sql: str) -> None:
    with pytest.raises(QueryRefused):
        postgres.pass_through(sql, 10, 0)


def test_a_refusal_says_what_is_not_allowed(postgres: SqlGate) -> None:
    with pytest.raises(QueryRefused) as refused:
        postgres.pass_through("SELECT pg_sleep(1)", 10, 0)
    assert refused.value.error_code == "query_refused"
    assert "'pg_sleep'" in refused.value.message
    with pytest.raises(QueryRefused, match="line 2"):
        postgres.pass_through("SELECT 1\nFROM FROM", 10, 0)


@pytest.mark.parametrize(
    "sql",
    ["SELECT " + "(" * 5_000 + "1" + ")" * 5_000, "SELECT " + "1+" * 30_000 + "1", "x" * 200_000],
    ids=["deep", "long", "huge"],
)
def test_monsters_are_refused(postgres: SqlGate, sql: str) -> None:
    with pytest.raises(QueryRefused):
        postgres.pass_through(sql, 10, 0)


_PIECES = st.sampled_from(
    ["SELECT", "DELETE FROM orders", "pg_sleep(1)", "*", "FROM", "orders", ";", "--", "/*", "*/",
     "'", '"', "$$", "(", ")", ",", "1", "WITH x AS", "RETURNING", "INTO", "\n", "UNION", "AS a"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=14).map(" ".join))
def test_whatever_passes_is_one_select_without_forbidden_names(sql: str) -> None:
    try:
        text = SqlGate("postgres").pass_through(sql, 10, 0).text
    except NodeFailed:
        return
    bare = "".join(part for i, part in enumerate(text.split("'")) if i % 2 == 0)
    bare = "".join(part for i, part in enumerate(bare.split('"')) if i % 2 == 0).upper()
    for word in ("DELETE", "PG_SLEEP", ";", "--", "/*", "RETURNING", "INTO"):
        assert word not in bare
