"""db nodes on a real PostgreSQL, and each layer below the gate by itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from agentflow.contracts.spec import Source
from agentflow.node_workers.app import make_runner
from agentflow.node_workers.runner import NodeRunner
from agentflow.node_workers.settings import WorkersSettings
from agentflow.node_workers.sql.gate import GatedQuery, SqlGate
from tests.support.node_calls import failure, node, run, source
from tests.support.waiting import eventually
from tests.unit.node_workers.sql_corpus import HONEST, HONEST_POSTGRES, REFUSED_POSTGRES

SCHEMA = """
    CREATE TABLE customers (name text PRIMARY KEY, city text);
    INSERT INTO customers VALUES ('ada', 'London'), ('bob', 'Rome');
    CREATE TABLE orders (id serial PRIMARY KEY, customer text, total numeric(10, 2),
                         placed date, note text, data jsonb);
    INSERT INTO orders (customer, total, placed, note, data) VALUES
      ('ada', 10.50, '2026-01-05', NULL, '{"color": "red", "tags": ["a", "b"]}'),
      ('ada', 20.25, '2026-01-20', 'gift', '{"color": "blue", "tags": []}'),
      ('bob', 30.00, '2026-02-01', NULL, '{"color": "red", "tags": ["c"]}');
"""
CONTENT = "SELECT md5(string_agg(o::text, ',' ORDER BY o.id)) FROM orders o"
SLOW = "SELECT count(*) AS n FROM generate_series(1, 100000000000) AS s"


@pytest.fixture
async def admin(postgres_url: str) -> AsyncIterator[Any]:
    """A superuser's own connection."""
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(SCHEMA)
    yield connection
    await connection.close()


@pytest.fixture
async def pg(postgres_url: str, admin: Any, clean_environ: None) -> AsyncIterator[NodeRunner]:
    """A runner whose DSN variable is the superuser's."""
    environ = {"SHOP_DSN": postgres_url, "AGENTFLOW_SECRETS_DEFAULT": "SHOP_DSN"}
    made = make_runner(WorkersSettings(), environ)
    yield made
    await made.aclose()


def origin(**config: Any) -> Source:
    return source("db", connection_string_env="SHOP_DSN", **config)


async def test_rows_come_as_objects_and_parameters_are_bound(pg: NodeRunner) -> None:
    find = node(
        "db",
        query="SELECT id, total FROM orders WHERE customer = :who AND placed >= :since",
        params={"who": "{who}", "since": "2026-01-10"},
    )
    result = await run(pg, find, origin(), {"who": "ada"})
    assert result.output == [{"id": 2, "total": "20.25"}]


ROUND_TRIPS: list[tuple[str, Any, Any]] = [
    ("int4", 7, 7),
    ("int4", "7", 7),
    ("int8", 7.0, 7),
    ("float8", "1.5", 1.5),
    ("numeric", 1.25, "1.25"),
    ("numeric", "12345678901234567890.5", "12345678901234567890.5"),
    ("text", "a\u00e9\u2603", "a\u00e9\u2603"),
    ("text", 5, "5"),
    ("bool", True, True),
    ("bool", "false", False),
    ("date", "2026-02-03", "2026-02-03"),
    ("date", "2026-02-03T10:00:00Z", "2026-02-03"),
    ("timestamp", "2026-02-03T04:05:06", "2026-02-03T04:05:06"),
    ("timestamptz", "2026-02-03T04:05:06+02:00", "2026-02-03T02:05:06+00:00"),
    ("timestamptz", "2026-02-03T04:05:06", "2026-02-03T04:05:06+00:00"),
    ("time", "04:05:06", "04:05:06"),
    ("interval", 90, 90.0),
    ("uuid", "7e57ab1e-0000-4000-8000-000000000001", "7e57ab1e-0000-4000-8000-000000000001"),
    ("jsonb", {"a": [1, None]}, {"a": [1, None]}),
    ("bytea", "AP8=", "AP8="),
    ("int4[]", [1, 2], [1, 2]),
    ("text[]", ["a", None], ["a", None]),
    ("numeric[]", [1.5], ["1.5"]),
    ("text", None, None),
]


async def test_a_value_survives_the_way_into_the_database_and_back(pg: NodeRunner) -> None:
    for column, value, found in ROUND_TRIPS:
        ask = node("db", query=f"SELECT CAST(:v AS {column}) AS v", params={"v": value})
        assert (await run(pg, ask, origin())).output == [{"v": found}], column


async def test_types_without_json_have_a_form(pg: NodeRunner) -> None:
    ask = node(
        "db",
        query="SELECT CAST('NaN' AS float8) AS nan, CAST('NaN' AS numeric) AS n, "
        "CAST('10.0.0.1' AS inet) AS ip, CAST('[1,5)' AS int4range) AS r, "
        "ROW(1, 'a') AS pair, 1 AS x, 2 AS x, CAST('{\"a\": 1}' AS json) AS j",
    )
    (row,) = (await run(pg, ask, origin())).output
    assert row == {
        "nan": None,
        "n": None,
        "ip": "10.0.0.1",
        "r": {"lower": 1, "upper": 5, "bounds": "[)"},
        "pair": [1, "a"],
        "x": 1,
        "x_2": 2,
        "j": {"a": 1},
    }


async def test_decimals_are_numbers_where_that_is_asked_for(pg: NodeRunner) -> None:
    ask = node("db", query="SELECT sum(total) AS s, count(*) AS n FROM orders", decimals="number")
    assert (await run(pg, ask, origin())).output == [{"s": 60.75, "n": 3}]


@pytest.mark.parametrize(
    ("column", "value"), [("int4", "seven"), ("date", "tomorrow"), ("int4", 1.5), ("uuid", "x")]
)
async def test_a_value_that_does_not_fit_is_named(pg: NodeRunner, column: str, value: Any) -> None:
    ask = node("db", query=f"SELECT CAST(:v AS {column}) AS v", params={"v": value})
    error = await failure(pg, ask, origin())
    assert error.error_code == "invalid_request"
    assert "'v'" in error.message


async def test_rows_stop_at_the_limit(pg: NodeRunner) -> None:
    page = node("db", query="SELECT id FROM orders ORDER BY id", limit=2)
    result = await run(pg, page, origin())
    assert [row["id"] for row in result.output] == [1, 2]
    assert result.warnings
    many = node("db", query="SELECT s FROM generate_series(1, 100000) AS s", limit=1234)
    assert len((await run(pg, many, origin())).output) == 1234


async def test_a_result_over_the_cap_fails_its_node(pg: NodeRunner) -> None:
    wide = "SELECT repeat FROM (SELECT rpad('x', 10000) AS repeat FROM generate_series(1, 9999)) t"
    error = await failure(pg, node("db", query=wide, limit=9999), origin())
    assert error.error_code == "payload_too_large"
    assert (await run(pg, node("db", query="SELECT 1 AS a"), origin())).output == [{"a": 1}]


async def test_honest_questions_are_served(pg: NodeRunner) -> None:
    for sql in HONEST + HONEST_POSTGRES:
        result = await run(pg, node("db", query=sql), origin())
        assert result.output, sql


async def test_attempts_are_refused_and_change_nothing(pg: NodeRunner, admin: Any) -> None:
    before = await admin.fetchval(CONTENT)
    for sql in REFUSED_POSTGRES:
        error = await failure(pg, node("db", query=sql, timeout=5), origin())
        assert error.error_code in ("query_refused", "invalid_request"), sql
    assert await admin.fetchval(CONTENT) == before


class NoGate(SqlGate):
    """A gate that lets everything through."""

    def __init__(self) -> None:
        self.pass_through = lambda sql, _limit, _offset: GatedQuery(sql, (), False)  # type: ignore[assignment]  # what a gate does, undone


async def test_without_the_gate_the_session_itself_lets_nothing_be_changed(
    pg: NodeRunner, admin: Any
) -> None:
    """The role, the read-only transaction and the extended protocol, with the gate off."""
    db: Any = pg._types["db"]
    db._databases._gates["postgres"] = NoGate()
    before = await admin.fetchval(CONTENT)
    tables = await admin.fetchval("SELECT count(*) FROM pg_class")
    for sql in REFUSED_POSTGRES:
        try:
            await run(pg, node("db", query=sql, timeout=1), origin())
        except Exception:  # noqa: BLE001 - whatever happens, nothing may change
            continue
    assert await admin.fetchval(CONTENT) == before
    assert await admin.fetchval("SELECT count(*) FROM pg_class") == tables
    # and nothing that was tried outlives its query
    writes = node("db", query="INSERT INTO orders (customer) VALUES ('eve')")
    error = await failure(pg, writes, origin())
    assert error.error_code == "query_refused"
    role = node(
        "db", query="SELECT current_user AS u, current_setting('transaction_read_only') AS r"
    )
    assert (await run(pg, role, origin())).output == [{"u": "pg_read_all_data", "r": "on"}]


async def test_the_corpus_does_harm_where_no_layer_is(admin: Any) -> None:
    """The negative control: the superuser's own connection does what the texts say."""
    before = await admin.fetchval(CONTENT)
    for sql in REFUSED_POSTGRES[:3]:
        await admin.execute(sql)
    assert await admin.fetchval(CONTENT) != before


async def test_a_superusers_session_cannot_read_files_even_without_the_gate(
    pg: NodeRunner,
) -> None:
    db: Any = pg._types["db"]
    db._databases._gates["postgres"] = NoGate()
    error = await failure(pg, node("db", query="SELECT pg_read_file('/etc/passwd')"), origin())
    assert error.error_code == "query_refused"


async def test_a_source_may_name_the_role_it_reads_as(pg: NodeRunner, admin: Any) -> None:
    await admin.execute(
        "DROP ROLE IF EXISTS narrow; CREATE ROLE narrow; GRANT SELECT ON customers TO narrow"
    )
    narrow = origin(role="narrow")
    ok = await run(pg, node("db", query="SELECT name FROM customers"), narrow)
    assert len(ok.output) == 2
    error = await failure(pg, node("db", query="SELECT id FROM orders"), narrow)
    assert error.error_code == "query_refused"
    await pg.aclose()
    await admin.execute("REVOKE ALL ON customers FROM narrow; DROP ROLE narrow")


async def test_a_slow_query_is_cut_in_the_server(pg: NodeRunner, admin: Any) -> None:
    error = await failure(pg, node("db", query=SLOW, timeout=0.3), origin())
    assert error.error_code == "timeout"
    await eventually(lambda: _is_quiet(admin))


async def test_cancelling_stops_the_query_in_the_server(pg: NodeRunner, admin: Any) -> None:
    running = asyncio.create_task(run(pg, node("db", query=SLOW), origin()))

    async def is_running() -> bool:
        return not await _is_quiet(admin)

    await eventually(is_running)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: _is_quiet(admin))
    assert (await run(pg, node("db", query="SELECT 1 AS a"), origin())).output == [{"a": 1}]


async def _is_quiet(admin: Any) -> bool:
    active = await admin.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%GENERATE%'"
        " AND pid <> pg_backend_pid()"
    )
    return bool(active == 0)


async def test_a_query_that_waits_for_a_lock_gives_up(pg: NodeRunner, admin: Any) -> None:
    async with admin.transaction():
        await admin.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        error = await failure(pg, node("db", query="SELECT id FROM orders"), origin())
    assert (error.error_code, error.retryable) == ("overloaded", True)


async def test_a_lost_connection_may_pass_and_is_replaced(pg: NodeRunner, admin: Any) -> None:
    running = asyncio.create_task(failure(pg, node("db", query=SLOW), origin()))

    async def kill() -> bool:
        return bool(
            await admin.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE query LIKE '%GENERATE%' AND pid <> pg_backend_pid()"
            )
        )

    await eventually(kill)
    error = await running
    assert (error.error_code, error.retryable) == ("network", True)
    assert (await run(pg, node("db", query="SELECT 1 AS a"), origin())).output == [{"a": 1}]


async def test_the_pool_is_bounded_and_shared(pg: NodeRunner, admin: Any) -> None:
    small = origin(pool_size=2, max_overflow=1)
    ask = node("db", query="SELECT id FROM orders WHERE id = :id", params={"id": "{id}"})
    results = await asyncio.gather(*(run(pg, ask, small, {"id": n % 3 + 1}) for n in range(100)))
    assert [r.output for r in results] == [[{"id": n % 3 + 1}] for n in range(100)]
    connections = await admin.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'agentflow%'"
    )
    assert 1 <= connections <= 3


@pytest.mark.parametrize(
    ("sql", "told"),
    [("SELECT nothing FROM orders", "nothing"), ("SELECT * FROM no_table", "no_table")],
)
async def test_a_wrong_name_in_the_query_is_told(pg: NodeRunner, sql: str, told: str) -> None:
    error = await failure(pg, node("db", query=sql), origin())
    assert error.error_code == "invalid_request"
    assert told in error.message


async def test_an_error_about_data_does_not_quote_it(pg: NodeRunner, admin: Any) -> None:
    await admin.execute("INSERT INTO orders (customer) VALUES ('private-name')")
    error = await failure(
        pg, node("db", query="SELECT CAST(customer AS int) FROM orders"), origin()
    )
    assert error.error_code == "invalid_request"
    assert "private-name" not in repr(error.to_node_error())


@pytest.mark.parametrize(
    ("dsn", "code"),
    [
        ("postgresql://postgres:sesame@127.0.0.1:9/x", "network"),
        ("postgresql://127.0.0.1/x", "invalid_request"),
        ("postgresql:///x", "invalid_request"),
        ("sesame", "invalid_request"),
        ("http://[bad", "invalid_request"),
    ],
)
async def test_a_dsn_that_does_not_work_is_told_without_its_password(
    dsn: str, code: str, clean_environ: None
) -> None:
    environ = {"SHOP_DSN": dsn, "AGENTFLOW_SECRETS_DEFAULT": "SHOP_DSN"}
    made = make_runner(WorkersSettings(), environ)
    error = await failure(made, node("db", query="SELECT 1"), origin(provider="postgresql"))
    assert error.error_code == code
    assert "sesame" not in repr(error.to_node_error())
    await made.aclose()


async def test_a_literal_dsn_is_a_strangers_choice_and_passes_the_egress_table(
    postgres_url: str, clean_environ: None
) -> None:
    literal = source("db", connection_string=postgres_url)
    for allow, code in (((), "egress_refused"), (("loopback",), None)):
        made = make_runner(WorkersSettings(egress_allow=allow), {})
        ask = node("db", query="SELECT 1 AS a")
        if code is None:
            assert (await run(made, ask, literal)).output == [{"a": 1}]
        else:
            assert (await failure(made, ask, literal)).error_code == code
        await made.aclose()


async def test_a_host_nobody_knows_and_a_server_that_is_silent_may_pass(
    clean_environ: None,
) -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # accepts nobody
    port = silent.getsockname()[1]
    made = make_runner(WorkersSettings(egress_allow=("loopback",)), {})
    for dsn in ("postgresql://u@no-such-host.invalid/x", f"postgresql://u@127.0.0.1:{port}/x"):
        literal = source("db", connection_string=dsn, pool_timeout=0.3)
        error = await failure(made, node("db", query="SELECT 1"), literal)
        assert (error.error_code, error.retryable) == ("network", True), dsn
    await made.aclose()
    silent.close()


async def test_a_full_pool_makes_a_node_wait_and_then_fail(pg: NodeRunner, admin: Any) -> None:
    small = origin(pool_size=1, max_overflow=0, pool_timeout=0.3)
    await run(pg, node("db", query="SELECT 1 AS a"), small)
    slow = asyncio.create_task(failure(pg, node("db", query=SLOW, timeout=3), small))

    async def is_running() -> bool:
        return not await _is_quiet(admin)

    await eventually(is_running)
    error = await failure(pg, node("db", query="SELECT 1"), small)
    assert (error.error_code, error.retryable) == ("overloaded", True)
    assert (await slow).error_code == "timeout"


async def test_the_environments_own_password_is_not_used(
    pg: NodeRunner, monkeypatch: pytest.MonkeyPatch, postgres_url: str, clean_environ: None
) -> None:
    """PGHOST and PGUSER of the operator would redirect a source that leaves them out."""
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGUSER", "postgres")
    monkeypatch.setenv("PGPASSWORD", "operator")
    environ = {"SHOP_DSN": "postgresql:///postgres", "AGENTFLOW_SECRETS_DEFAULT": "SHOP_DSN"}
    made = make_runner(WorkersSettings(), environ)
    error = await failure(made, node("db", query="SELECT 1"), origin())
    assert error.error_code == "invalid_request"
    await made.aclose()
