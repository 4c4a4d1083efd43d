"""What people type becomes an initial state, or a clear refusal."""

import json
from pathlib import Path

import pytest

from agentflow.cli.errors import InvalidInput
from agentflow.cli.inputs import read_spec, read_state


def test_equals_gives_text_and_colon_equals_gives_json() -> None:
    state = read_state(None, ["user_input=5", "limit:=5", "tags:=[1,2]", "note=a=b"])
    assert state == {"user_input": "5", "limit": 5, "tags": [1, 2], "note": "a=b"}


def test_inputs_win_over_the_state_file(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text(json.dumps({"user_input": "old", "kept": True}))
    assert read_state(str(file), ["user_input=new"]) == {"user_input": "new", "kept": True}


@pytest.mark.parametrize("item", ["user_input", "=x", ":=5", ""])
def test_an_input_without_key_or_value_says_how_to_write_one(item: str) -> None:
    with pytest.raises(InvalidInput, match="key=value") as refused:
        read_state(None, [item])
    assert refused.value.hint


def test_broken_json_in_an_input_names_the_input() -> None:
    with pytest.raises(InvalidInput, match="limit"):
        read_state(None, ["limit:={"])


@pytest.mark.parametrize("text", ["[1]", '"x"', "5", "null", "true"])
def test_a_state_file_must_hold_an_object(tmp_path: Path, text: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(text)
    with pytest.raises(InvalidInput, match="must hold a JSON object"):
        read_state(str(file), [])


def test_a_missing_file_says_so() -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        read_spec("nowhere.json")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1,}', "line 1, column"),
        ('{"a": NaN}', "NaN"),
        ('{"a": "\\u0000"}', "NUL"),
        ('{"a": "\\ud800"}', "surrogate"),
        ('{"a": 1, "a": 2}', "twice"),
        ("[" * 100_000, "Nested deeper"),
    ],
)
def test_a_spec_no_database_could_store_is_refused_with_the_reason(
    tmp_path: Path, text: str, complaint: str
) -> None:
    file = tmp_path / "spec.json"
    file.write_text(text)
    with pytest.raises(InvalidInput, match=complaint):
        read_spec(str(file))
