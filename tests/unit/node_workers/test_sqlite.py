"""db nodes on real SQLite files, and each layer below the gate by itself."""

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from agentflow.contracts.spec import Source
from agentflow.node_workers.app import make_runner
from agentflow.node_workers.runner import NodeRunner
from agentflow.node_workers.settings import WorkersSettings
from agentflow.node_workers.sql.sqlite import _authorizer, connect_read_only
from tests.support.node_calls import failure, node, run, source
from tests.unit.node_workers.sql_corpus import HONEST, HONEST_SQLITE, REFUSED_SQLITE

SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


COUNT_TO_99 = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 99)"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Three orders of two customers."""
    path = tmp_path / "shop.db"
    database = sqlite3.connect(path)
    database.executescript("""
        CREATE TABLE customers (name TEXT PRIMARY KEY, city TEXT);
        INSERT INTO customers VALUES ('ada', 'London'), ('bob', 'Rome');
        CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer TEXT, total REAL,
                             placed TEXT, note TEXT, data TEXT);
        INSERT INTO orders VALUES
          (1, 'ada', 10.5, '2026-01-05', NULL, '{"color": "red", "tags": ["a", "b"]}'),
          (2, 'ada', 20.25, '2026-01-20', 'gift', '{"color": "blue", "tags": []}'),
          (3, 'bob', 30.0, '2026-02-01', NULL, '{"color": "red", "tags": ["c"]}');
    """)
    database.close()
    return path


def on_disk(shop: Path) -> tuple[bytes, list[str]]:
    """The database's bytes and every file beside it."""
    return shop.read_bytes(), sorted(path.name for path in shop.parent.iterdir())


def origin(path: str = "shop.db", **config: Any) -> Source:
    return source("db", provider="sqlite", path=path, **config)


async def test_rows_come_as_objects_and_parameters_are_bound_with_their_type(
    runner: NodeRunner, shop: Path
) -> None:
    find = node(
        "db",
        query="SELECT id, total FROM orders WHERE customer = :who AND total > :least ORDER BY id",
        params={"who": "{person.name}", "least": "{least}"},
    )
    state = {"person": {"name": "ada"}, "least": 11}
    result = await run(runner, find, origin(), state)
    assert result.output == [{"id": 2, "total": 20.25}]
    assert result.output_key == "db_result"
    assert result.input["params"] == {"who": "ada", "least": 11}


async def test_a_value_is_never_read_as_sql(runner: NodeRunner, shop: Path) -> None:
    find = node("db", query="SELECT id FROM orders WHERE customer = :who", params={"who": "{q}"})
    result = await run(runner, find, origin(), {"q": "x' OR 1=1; DROP TABLE orders; --"})
    assert result.output == []
    braces = node("db", query="SELECT id FROM orders WHERE customer = '{q}'")
    assert (await run(runner, braces, origin(), {"q": "ada"})).output == []


async def test_positional_parameters_come_from_a_list(runner: NodeRunner, shop: Path) -> None:
    find = node("db", query="SELECT id FROM orders WHERE total > ? AND id < ?", params=[11, 3])
    assert (await run(runner, find, origin())).output == [{"id": 2}]
    for params in ([11], {"a": 1}, {}):
        wrong = node("db", query="SELECT id FROM orders WHERE total > ? AND id < ?", params=params)
        assert (await failure(runner, wrong, origin())).error_code == "invalid_request"


async def test_a_parameter_nobody_gave_is_named(runner: NodeRunner, shop: Path) -> None:
    find = node("db", query="SELECT :a, :b", params={"a": 1})
    error = await failure(runner, find, origin())
    assert error.error_code == "invalid_request"
    assert "parameters b " in error.message


async def test_rows_stop_at_the_limit_and_the_record_says_so(
    runner: NodeRunner, shop: Path
) -> None:
    page = node("db", query="SELECT id FROM orders ORDER BY id", limit=2, offset="{skip}")
    result = await run(runner, page, origin(), {"skip": 0})
    assert [row["id"] for row in result.output] == [1, 2]
    assert "first 2 rows" in result.warnings[0]
    rest = await run(runner, page, origin(), {"skip": 2})
    assert ([row["id"] for row in rest.output], rest.warnings) == ([3], ())


async def test_every_type_becomes_json(runner: NodeRunner, shop: Path) -> None:
    ask = node(
        "db",
        query="SELECT 1 AS i, 1.5 AS f, 'é' AS t, x'00ff' AS b, NULL AS n, 9e999 AS inf, "
        "9223372036854775807 AS big, 1 AS twice, 2 AS twice, CAST(x'61ff62' AS TEXT) AS odd, "
        "'a' || char(0) || 'b' AS nul",
    )
    (row,) = (await run(runner, ask, origin())).output
    assert row == {
        "i": 1,
        "f": 1.5,
        "t": "é",
        "b": "AP8=",
        "n": None,
        "inf": None,
        "big": 2**63 - 1,
        "twice": 1,
        "twice_2": 2,
        "odd": "a\ufffdb",
        "nul": "a\ufffdb",
    }


@pytest.mark.parametrize("sql", HONEST + HONEST_SQLITE)
async def test_honest_questions_are_served(runner: NodeRunner, shop: Path, sql: str) -> None:
    result = await run(runner, node("db", query=sql), origin())
    assert result.output


@pytest.mark.parametrize("sql", REFUSED_SQLITE)
async def test_attempts_are_refused_and_change_nothing(
    runner: NodeRunner, shop: Path, sql: str
) -> None:
    before = on_disk(shop)
    error = await failure(runner, node("db", query=sql), origin())
    assert error.error_code in ("query_refused", "invalid_request")
    assert on_disk(shop) == before


@pytest.mark.parametrize("sql", [s for s in REFUSED_SQLITE if s and not s.startswith("not ")])
def test_without_the_gate_the_connection_itself_lets_nothing_happen(shop: Path, sql: str) -> None:
    """The authorizer, query_only and mode=ro, with the gate switched off."""
    before = on_disk(shop)
    database = connect_read_only(shop)
    try:
        for part in sql.split(";"):
            try:
                database.execute(part).fetchall()
            except (sqlite3.Error, sqlite3.Warning):
                continue
    finally:
        database.close()
    assert on_disk(shop) == before


def test_the_corpus_does_harm_where_no_layer_is(shop: Path) -> None:
    """The negative control: on a plain connection the same texts do change things."""
    before = on_disk(shop)
    database = sqlite3.connect(shop, isolation_level=None)
    for sql in REFUSED_SQLITE:
        for part in sql.split(";"):
            try:
                database.execute(part).fetchall()
            except (sqlite3.Error, sqlite3.Warning):
                continue
    database.close()
    assert on_disk(shop) != before


@pytest.mark.parametrize("layer", ["authorizer", "query_only", "mode=ro"])
def test_each_layer_alone_stops_a_write(shop: Path, layer: str) -> None:
    mode = "ro" if layer == "mode=ro" else "rw"
    database = sqlite3.connect(f"file:{shop}?mode={mode}", uri=True, isolation_level=None)
    if layer == "query_only":
        database.execute("PRAGMA query_only = ON")
    if layer == "authorizer":
        database.set_authorizer(_authorizer())
    with pytest.raises(sqlite3.DatabaseError):
        database.execute("DELETE FROM orders")
    database.close()


async def test_a_slow_query_is_cut_at_its_timeout(runner: NodeRunner, shop: Path) -> None:
    error = await failure(runner, node("db", query=SLOW, timeout=0.2), origin())
    assert error.error_code == "timeout"
    assert "0.2 seconds" in error.message
    assert (await run(runner, node("db", query="SELECT 1 AS a"), origin())).output == [{"a": 1}]


async def test_cancelling_stops_the_query_in_its_thread(
    tmp_path: Path, shop: Path, clean_environ: None
) -> None:
    settings = WorkersSettings(sqlite_directories=(str(tmp_path),), sqlite_threads=1)
    one_thread = make_runner(settings, {})
    running = asyncio.create_task(run(one_thread, node("db", query=SLOW), origin()))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    # The only thread is free again: nothing runs on.
    async with asyncio.timeout(5):
        await run(one_thread, node("db", query="SELECT 1"), origin())
    await one_thread.aclose()


async def test_a_value_or_a_result_that_is_too_large_fails_its_node(
    runner: NodeRunner, shop: Path
) -> None:
    for sql in (
        "SELECT zeroblob(1000000000)",
        "SELECT hex(zeroblob(20000000))",
        f"{COUNT_TO_99} SELECT hex(zeroblob(1000000)) FROM n",
    ):
        error = await failure(runner, node("db", query=sql), origin())
        assert error.error_code == "payload_too_large"


async def test_a_replaced_file_is_read_anew(runner: NodeRunner, shop: Path) -> None:
    count = node("db", query="SELECT count(*) AS n FROM orders")
    assert (await run(runner, count, origin())).output == [{"n": 3}]
    copy = shop.with_name("new.db")
    shutil.copy(shop, copy)
    database = sqlite3.connect(copy)
    database.execute("DELETE FROM orders WHERE id = 1")
    database.commit()
    database.close()
    copy.replace(shop)
    assert (await run(runner, count, origin())).output == [{"n": 2}]


async def test_what_others_write_is_seen(runner: NodeRunner, shop: Path) -> None:
    count = node("db", query="SELECT count(*) AS n FROM orders")
    await run(runner, count, origin())
    writer = sqlite3.connect(shop)
    writer.execute("DELETE FROM orders WHERE id = 2")
    writer.commit()
    writer.close()
    assert (await run(runner, count, origin())).output == [{"n": 2}]


async def test_a_changed_schema_is_read_anew(runner: NodeRunner, shop: Path) -> None:
    tags = node("db", query="SELECT t.value FROM orders o, json_each(o.data, '$.tags') AS t")
    assert len((await run(runner, tags, origin())).output) == 3
    writer = sqlite3.connect(shop)
    writer.execute("ALTER TABLE orders ADD COLUMN more TEXT DEFAULT 'new'")
    writer.commit()
    writer.close()
    assert len((await run(runner, tags, origin())).output) == 3
    more = node("db", query="SELECT more FROM orders LIMIT 1")
    assert (await run(runner, more, origin())).output == [{"more": "new"}]


async def test_a_locked_database_may_pass(runner: NodeRunner, shop: Path) -> None:
    writer = sqlite3.connect(shop, isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    error = await failure(runner, node("db", query="SELECT * FROM orders"), origin())
    assert (error.error_code, error.retryable) == ("overloaded", True)
    writer.close()


@pytest.mark.parametrize(
    "path", ["../outside.db", "/etc/passwd", ".hidden/x.db", "sub/../.hidden/x.db", "link.db"]
)
async def test_files_outside_the_allowed_directories_are_not_opened(
    runner: NodeRunner, shop: Path, path: str
) -> None:
    hidden = shop.parent / ".hidden"
    hidden.mkdir()
    shutil.copy(shop, hidden / "x.db")
    (shop.parent / "link.db").symlink_to("/etc/passwd")
    error = await failure(runner, node("db", query="SELECT 1"), origin(path))
    assert error.error_code == "path_refused"
    assert str(shop.parent) not in error.message


async def test_a_missing_file_is_told_without_the_machines_paths(
    runner: NodeRunner, shop: Path
) -> None:
    error = await failure(runner, node("db", query="SELECT 1"), origin("nowhere.db"))
    assert error.error_code == "invalid_request"
    assert "'nowhere.db'" in error.message
    assert str(shop.parent) not in error.message
    assert not (shop.parent / "nowhere.db").exists()


async def test_a_file_that_is_no_database_is_told(runner: NodeRunner, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("hello " * 1000)
    error = await failure(runner, node("db", query="SELECT * FROM t"), origin("text.db"))
    assert error.error_code == "invalid_request"


async def test_a_dsn_comes_from_an_allowed_variable_only(
    runner: NodeRunner, environ: dict[str, str], shop: Path, clean_environ: None
) -> None:
    environ |= {"SHOP_DSN": f"sqlite:///{shop}", "OTHER_DSN": f"sqlite:///{shop}"}
    environ["AGENTFLOW_SECRETS_DEFAULT"] += ",SHOP_DSN"
    made = make_runner(WorkersSettings(), environ)
    ask = node("db", query="SELECT count(*) AS n FROM orders")
    good = source("db", connection_string_env="SHOP_DSN")
    assert (await run(made, ask, good)).output == [{"n": 3}]
    for name in ("OTHER_DSN", "DATABASE_URL", "PATH"):
        error = await failure(made, ask, source("db", connection_string_env=name))
        assert error.error_code == "secret_not_found"
    await made.aclose()


@pytest.mark.parametrize(
    "config",
    [
        {"connection_string": "postgresql://u:secretpass@db.example/x"},
        {"connection_string": "postgresql://u@db.example/x?password=secretpass"},
        {"connection_string": "secretpass"},
        {"provider": "oracle"},
        {"provider": "sqlite"},
        {},
    ],
)
async def test_a_source_that_cannot_be_used_says_why_and_quotes_no_password(
    runner: NodeRunner, config: dict[str, Any]
) -> None:
    error = await failure(runner, node("db", query="SELECT 1"), source("db", **config))
    assert error.error_code in ("invalid_request", "unsupported_provider")
    assert "secretpass" not in repr(error.to_node_error())


async def test_a_source_of_another_kind_or_none_is_told(runner: NodeRunner) -> None:
    assert (await failure(runner, node("db", query="SELECT 1"))).error_code == "invalid_request"
    wrong = source("llm", provider="demo")
    error = await failure(runner, node("db", query="SELECT 1"), wrong)
    assert "of kind 'llm'" in error.message


async def test_a_full_pool_makes_a_node_wait_and_then_fail(runner: NodeRunner, shop: Path) -> None:
    small = origin(pool_size=1, max_overflow=0, pool_timeout=0.2)
    slow = asyncio.create_task(run(runner, node("db", query=SLOW, timeout=5), small))
    await asyncio.sleep(0.05)
    error = await failure(runner, node("db", query="SELECT 1"), small)
    assert (error.error_code, error.retryable) == ("overloaded", True)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow


async def test_many_lookups_at_once_are_all_served(runner: NodeRunner, shop: Path) -> None:
    find = node("db", query="SELECT id FROM orders WHERE id = :id", params={"id": "{id}"})
    results = await asyncio.gather(
        *(run(runner, find, origin(), {"id": n % 3 + 1}) for n in range(300))
    )
    assert [r.output for r in results] == [[{"id": n % 3 + 1}] for n in range(300)]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"query": "  "},
        {"query": "SELECT 1", "limit": 0},
        {"query": "SELECT 1", "limit": "many"},
        {"query": "SELECT 1", "offset": -1},
        {"query": "SELECT 1", "timeout": 0},
        {"query": "SELECT 1", "params": "x"},
    ],
)
async def test_settings_that_make_no_sense_are_told(
    runner: NodeRunner, shop: Path, metadata: dict[str, Any]
) -> None:
    error = await failure(runner, node("db", **metadata), origin())
    assert error.error_code == "invalid_request"


def test_a_corpus_that_misses_a_layer_would_be_noticed() -> None:
    """The lists are long enough to mean something."""
    assert len(REFUSED_SQLITE) >= 40
    assert len(HONEST + HONEST_SQLITE) >= 40
