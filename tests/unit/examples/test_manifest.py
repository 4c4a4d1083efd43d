"""The manifest tells the truth about the folder, and the page lists what is there."""

from agentflow.cli.demo.cases import differences
from agentflow.cli.demo.manifest import read_manifest
from agentflow.engine.validation import validate
from tests.support import examples
from tests.support.examples import EXAMPLES


def test_the_demo_can_read_it() -> None:
    manifest = read_manifest(EXAMPLES)
    assert [example.name for example in manifest.examples] == examples.names()
    assert {job.name for job in manifest.demo} == {"triage", "licences"}


def test_every_folder_with_a_workflow_is_listed() -> None:
    folders = {path.parent.name for path in EXAMPLES.glob("*/workflow.json")}
    assert folders == set(examples.names())
    assert len(folders) >= 6


def test_the_page_lists_every_example() -> None:
    page = (EXAMPLES / "README.md").read_text()
    for name in examples.names():
        assert f"[{name}]({name}/" in page


def test_needs_are_things_that_can_be_prepared() -> None:
    content = examples.manifest()
    steps = {step["name"] for step in content["prepare"]}
    for part in [*content["examples"], *content["demo"]]:
        assert set(part["needs"]) <= steps
        sources = examples.workflow(part["name"]).get("sources", [])
        assert bool(part["needs"]) == any(source["kind"] == "db" for source in sources)


def test_every_workflow_passes_the_check_without_a_word() -> None:
    for name in examples.names():
        report = validate((EXAMPLES / name / "workflow.json").read_text())
        assert (report.errors, report.warnings) == ((), ()), name


def test_the_demo_and_the_tests_mean_the_same_by_as_expected() -> None:
    """Two readers of the case files: what one calls wrong, the other does."""
    for case in examples.cases():
        wrong = examples.misses(case.expect, examples.Ending("?", {}, None))
        told = differences(case.expect, status="?", final_state={}, error_code=None)
        assert bool(wrong) == bool(list(told))
