"""What is generated is what the code says, and a stale page is noticed."""

from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from agentflow.cli.reference import roads as roads_module
from agentflow.cli.reference.blocks import UnknownBlock, fill
from agentflow.cli.reference.commands_table import commands_table
from agentflow.cli.reference.import_table import import_table
from agentflow.cli.reference.picture import STREAMS, picture
from agentflow.cli.reference.roads import Road, roads
from agentflow.cli.reference.schemas import models, schemas
from agentflow.cli.reference.settings_page import class_rows, settings_page, variables
from agentflow.cli.reference.subjects_page import table
from agentflow.cli.reference.tree import pretty, stale
from agentflow.contracts.events import EVENT_TYPES
from agentflow.contracts.message import Message

ROOT = Path(__file__).parents[3]


def test_a_block_is_replaced_between_its_marks_and_nothing_else() -> None:
    page = "a\n<!-- generated: x -->\nold\n<!-- /generated -->\nb\n"
    made = fill(page, {"x": lambda: "new"})
    assert made == "a\n<!-- generated: x -->\nnew\n<!-- /generated -->\nb\n"
    assert fill(made, {"x": lambda: "new"}) == made


def test_a_block_nobody_makes_is_an_error() -> None:
    with pytest.raises(UnknownBlock):
        fill("<!-- generated: y -->\n<!-- /generated -->", {})


def test_a_stale_a_missing_and_an_orphaned_page_are_all_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "docs" / "reference"
    (folder / "schemas").mkdir(parents=True)
    (folder / "settings.md").write_text("old")
    (folder / "schemas" / "Gone.json").write_text("{}")
    (folder / "schemas" / "Same.json").write_text("{}")
    (folder / "written-by-people.md").write_text("theirs")
    wanted = {
        "docs/reference/settings.md": "new",
        "docs/reference/subjects.md": "missing",
        "docs/reference/schemas/Same.json": "{}",
    }
    assert stale(wanted, tmp_path) == [
        "docs/reference/schemas/Gone.json",
        "docs/reference/settings.md",
        "docs/reference/subjects.md",
    ]


def test_every_message_has_its_schema_with_subject_and_stream() -> None:
    found = schemas()
    for event in EVENT_TYPES:
        schema = found[f"{event.__name__}.json"]
        assert schema["x-subject"] == event.pattern()
        assert schema["x-stream"] == "EVENTS"
    assert "from" in found["Edge.json"]["properties"]


def test_the_subject_table_has_a_row_for_every_message() -> None:
    text = table("")
    for message in (model for model in models() if issubclass(model, Message)):
        assert f"`{message.SUBJECT}`" in text


def test_the_same_document_gives_the_same_bytes() -> None:
    assert (
        pretty({"b": 1, "a": "é"}) == pretty({"a": "é", "b": 1}) == '{\n  "a": "é",\n  "b": 1\n}\n'
    )


def test_the_picture_shows_the_roads_of_the_design() -> None:
    assert {
        Road("gateway", "says", "COMMANDS"),
        Road("executor", "hears", "COMMANDS"),
        Road("validator", "hears", "COMMANDS"),
        Road("executor", "says", "TASKS"),
        Road("node-workers", "hears", "TASKS"),
        Road("node-workers", "says", "EVENTS"),
        Road("executor", "hears live", "EVENTS"),
        Road("gateway", "hears live", "EVENTS"),
        Road("history", "hears", "EVENTS"),
        Road("audit", "hears", "AUDIT"),
    } <= set(roads())
    for stream in STREAMS:
        assert f"[({stream})]" in picture()


def test_listeners_never_say_anything() -> None:
    assert [road for road in roads() if road.service in ("history", "audit", "validator")
            and road.verb == "says"] == []  # fmt: skip


def test_a_new_road_in_the_code_shows_in_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ast

    source = "from agentflow.contracts.tasks import RunNode\n\nRunNode(pool='x')\n"
    monkeypatch.setattr(roads_module, "_sources", lambda _: [ast.parse(source)])
    assert list(roads_module.roads_of("history")) == [Road("history", "says", "TASKS")]
    other = source.replace("agentflow.contracts.tasks", "somewhere.else_")
    monkeypatch.setattr(roads_module, "_sources", lambda _: [ast.parse(other)])
    assert list(roads_module.roads_of("history")) == []


class Sample(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="AGENTFLOW_SAMPLE_")

    wait_seconds: float = Field(default=2.5, description="a | b, seconds")


def test_a_setting_is_named_as_the_environment_names_it() -> None:
    (row,) = class_rows(Sample)
    assert row.markdown() == "| `AGENTFLOW_SAMPLE_WAIT_SECONDS` | `2.5` | a / b, seconds |\n"


def test_the_settings_page_names_every_variable_and_no_secret() -> None:
    page = settings_page()
    assert {"AGENTFLOW_NATS_URL", "DATABASE_URL", "AGENTFLOW_LOG_LEVEL"} <= variables()
    assert all(f"`{name}`" in page for name in variables())


def test_the_command_table_opens_the_groups() -> None:
    table_ = commands_table()
    for name in ("dev", "run", "executions tail", "bus dlq replay", "db downgrade"):
        assert f"`agentflow {name}`" in table_


def test_the_import_table_comes_from_the_contract() -> None:
    text = import_table(ROOT / "pyproject.toml")
    assert "| 4 | `telemetry`, `contracts` | nothing of ours |" in text
    assert "the engine has no clock" in text
