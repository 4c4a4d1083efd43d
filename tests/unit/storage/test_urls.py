"""Database URLs as people write them."""

import pytest

from agentflow.contracts.errors import BadInput
from agentflow.storage.settings import StorageSettings
from agentflow.storage.urls import database_url


@pytest.mark.parametrize(
    ("given", "driver"),
    [
        ("sqlite:///a.db", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///a.db", "sqlite+aiosqlite"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg"),
        ("postgres://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+asyncpg"),
    ],
)
def test_plain_urls_get_their_async_driver(given: str, driver: str) -> None:
    assert database_url(given).drivername == driver


def test_libpqs_sslmode_is_understood() -> None:
    assert dict(database_url("postgres://h/d?sslmode=require").query) == {"ssl": "require"}


@pytest.mark.parametrize("bad", ["", "nonsense", "mysql://h/d", "mongodb://h"])
def test_another_database_is_refused_with_what_to_write(bad: str) -> None:
    with pytest.raises(BadInput) as refused:
        database_url(bad)
    assert "sqlite" in (refused.value.hint or "")


def test_a_refused_url_does_not_show_its_password() -> None:
    with pytest.raises(BadInput) as refused:
        database_url("mysql://u:hunter2@h/d")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["DATABASE_URL", "AGENTFLOW_DATABASE_URL"])
def test_the_url_is_read_from_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch, clean_environ: None
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv(name, "postgresql://u:hunter2@h/d")
    settings = StorageSettings()
    assert settings.database_url == "postgresql://u:hunter2@h/d"
    assert "hunter2" not in repr(settings)
