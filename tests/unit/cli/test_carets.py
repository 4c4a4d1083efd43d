"""Issues are shown with the line, a caret under the place, the code and the hint."""

from agentflow.cli.carets import MAX_LINE, show_issues, summary
from agentflow.contracts.problem import Issue

TEXT = '{\n  "nodes": [\n    {"id": "a", "tpye": "input"}\n  ]\n}'


def issue(**fields: object) -> Issue:
    return Issue.model_validate({"code": "unknown_key", "message": "No such key.", **fields})


def test_an_issue_shows_its_line_with_a_caret_under_the_place() -> None:
    shown = show_issues("spec.json", TEXT, [issue(line=3, column=17, hint="Did you mean 'type'?")])
    first, line, caret, hint = shown.splitlines()
    assert first == "spec.json:3:17: error[unknown_key] No such key."
    assert line.endswith('{"id": "a", "tpye": "input"}')
    assert line[caret.index("^") :].startswith('"tpye"')
    assert hint == "  hint: Did you mean 'type'?"


def test_an_issue_without_a_place_shows_its_pointer() -> None:
    shown = show_issues("spec.json", None, [issue(pointer="/nodes/0", severity="warning")])
    assert shown == "spec.json at /nodes/0: warning[unknown_key] No such key."


def test_a_very_long_line_is_cut_around_the_caret() -> None:
    text = "x" * 5000 + "HERE" + "y" * 5000
    _, line, caret = show_issues("spec.json", text, [issue(line=1, column=5001)]).splitlines()
    assert line[caret.index("^") :].startswith("HERE")
    assert len(line) < MAX_LINE + 20


def test_a_tab_does_not_move_the_caret() -> None:
    _, line, caret = show_issues("s", "\t\tBAD", [issue(line=1, column=3)]).splitlines()
    assert line[caret.index("^") :] == "BAD"


def test_a_line_past_the_end_of_the_text_is_not_shown() -> None:
    assert len(show_issues("s", "one line", [issue(line=9, column=1)]).splitlines()) == 1


def test_counts_are_said_in_words() -> None:
    assert summary(2, 1) == "2 errors, 1 warning"
    assert summary(0, 0) == "0 errors, 0 warnings"


def test_a_literal_secret_is_starred_out_wherever_its_line_is_shown() -> None:
    text = '{"config": {"api_key": "sk-very-secret", "modle": 1}}'
    issues = [
        issue(line=1, column=42, code="unknown_key"),
        issue(line=1, column=24, code="literal_secret"),
    ]
    shown = show_issues("spec.json", text, issues)
    assert "sk-very-secret" not in shown
    _, line, caret = shown.split("\n\n")[0].splitlines()
    assert line[caret.index("^") :].startswith('"modle"')
