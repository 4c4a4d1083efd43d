"""The demo's own arithmetic: what it counts, compares and shows."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from agentflow.cli.demo.cases import differences
from agentflow.cli.demo.crowd import Crowd, Input, Outcome, read_inputs
from agentflow.cli.demo.manifest import Job, find_examples, read_manifest
from agentflow.cli.demo.preparing import prepare
from agentflow.cli.demo.report import (
    accuracy_table,
    count_table,
    failures,
    sample_table,
    summary_lines,
)
from agentflow.cli.errors import CliError, InvalidInput
from agentflow.cli.output import Output

JOB = Job(
    name="j",
    title="J",
    workflow="w",
    inputs="i",
    accuracy=("intent",),
    accuracy_by="half",
    count_by=("intent",),
    columns=("message_id", "intent"),
)


def outcome(number: int, intent: str, expected: str, half: str = "a", **more: Any) -> Outcome:
    state = {"message_id": f"M-{number}"}
    item = Input(state, {"intent": expected}, {"half": half})
    fields: dict[str, Any] = {
        "status": "COMPLETED",
        "final_state": {"final_output": {"intent": intent}},
        "milliseconds": 10.0 * number,
        "error": None,
        **more,
    }
    return Outcome(input=item, **fields)


CROWD = Crowd(
    [outcome(1, "x", "x"), outcome(2, "y", "x"), outcome(3, "x", "x", half="b")], seconds=0.5
)


def printed(table: Any) -> str:
    stream = io.StringIO()
    Output(stdout=stream).table(table)
    return stream.getvalue()


def test_accuracy_is_the_share_as_expected_per_part() -> None:
    header, row = printed(accuracy_table(JOB, CROWD)).splitlines()
    assert header.split() == ["AS", "EXPECTED", "a", "b"]
    assert row.split() == ["intent", "50.0%", "100.0%"]


def test_values_are_counted_most_frequent_first() -> None:
    assert "x 2 · y 1" in printed(count_table(JOB, CROWD))


def test_a_column_may_come_from_the_input() -> None:
    assert "M-1" in printed(sample_table(JOB, CROWD))


def test_throughput_counts_all_and_names_what_completed() -> None:
    failed = outcome(4, "", "x", status="FAILED", error={"code": "timeout", "message": "cut"})
    crowd = Crowd([*CROWD.outcomes, failed], seconds=2.0)
    assert summary_lines(crowd)[0] == "3 of 4 completed in 2.00 s: 2 executions per second"
    assert list(failures(crowd)) == ["timeout: cut"]


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ({"status": "COMPLETED", "final_output": "x", "final_state": {"intent": "a"}}, []),
        ({"status": "FAILED"}, ["status is 'COMPLETED', expected 'FAILED'"]),
        ({"final_output": "y"}, ["final_output is 'x', expected 'y'"]),
        ({"final_state": {"intent": "b"}}, ["final_state.intent is 'a', expected 'b'"]),
        ({"error": "timeout"}, ["error is None, expected 'timeout'"]),
    ],
)
def test_what_is_not_as_expected_is_named(expect: dict[str, Any], told: list[str]) -> None:
    state = {"final_output": "x", "intent": "a"}
    found = differences(expect, status="COMPLETED", final_state=state, error_code=None)
    assert list(found) == told


def test_a_broken_line_of_inputs_is_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "inputs.jsonl"
    path.write_text('{"initial_state": {}}\n{"state": {}}\n')
    with pytest.raises(InvalidInput, match="line 2"):
        read_inputs(path)


def test_the_manifest_of_this_checkout_is_read_and_its_files_are_there() -> None:
    folder = find_examples()
    manifest = read_manifest(folder)
    assert {job.name for job in manifest.demo} == {"triage", "licences"}
    assert len(manifest.examples) >= 6
    for example in manifest.examples:
        assert (folder / example.name / "workflow.json").is_file()
    assert len(read_inputs(folder / manifest.demo[0].inputs)) == 300


def test_a_folder_without_examples_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"manifest\.json") as refused:
        find_examples(tmp_path)
    assert "--examples" in (refused.value.hint or "")


def test_a_broken_manifest_says_where(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"demo": [{"name": "x"}]}))
    with pytest.raises(InvalidInput, match="demo/0/title"):
        read_manifest(tmp_path)


async def test_a_preparation_that_fails_shows_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("raise SystemExit('no disk left')")
    document = {"prepare": [{"name": "shop", "run": ["bad.py"], "env": {"SHOP_URL": "x"}}]}
    (tmp_path / "manifest.json").write_text(json.dumps(document))
    with pytest.raises(CliError, match="no disk left"):
        await prepare(read_manifest(tmp_path), ["shop"], tmp_path)


async def test_a_preparation_lists_its_variables_as_usable_secrets(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text("import sys; open(sys.argv[1], 'w').close()")
    step = {"name": "shop", "run": ["good.py", "{data}/made"], "env": {"SHOP_URL": "{data}/made"}}
    (tmp_path / "manifest.json").write_text(json.dumps({"prepare": [step]}))
    variables = await prepare(read_manifest(tmp_path), ["shop"], tmp_path)
    assert (tmp_path / "made").is_file()
    assert variables["SHOP_URL"] == f"{tmp_path}/made"
    assert variables["AGENTFLOW_SECRETS_DEFAULT"] == "SHOP_URL"
