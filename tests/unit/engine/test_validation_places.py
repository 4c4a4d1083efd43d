"""Validation: lines and columns, checking text, checking one node, the table of codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.engine.validation import CODES, validate, validate_node, validate_spec
from agentflow.engine.validation.codes import page
from agentflow.engine.validation.findings import Findings, pointer_of
from agentflow.engine.validation.positions import locate

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "validation-codes.md"

TEXT = """{
  "start_node": "in",
  "nodes": [
    {"id": "in", "type": "input"},
    {"id": "a", "type": "llm",
     "metadata": {"prompt": "häß", "source": "nope"}}
  ],
  "edges": [{"from": "in", "to": "a"}, {"from": "a", "to": ["b", "END"]}]
}"""


def test_an_issue_tells_line_and_column() -> None:
    found = {issue.code: (issue.line, issue.column) for issue in validate(TEXT).errors}
    assert found == {"unknown_source": (6, 46), "unknown_edge_target": (8, 61)}


def test_the_place_of_what_is_missing_is_that_of_what_should_hold_it() -> None:
    text = '{"nodes": [\n  {"type": "input"}\n]}'
    found = {issue.pointer: (issue.line, issue.column) for issue in validate(text).errors}
    assert found["/nodes/0/id"] == (2, 3)
    assert found["/start_node"] == (1, 1)


def test_bytes_and_a_byte_order_mark_are_read() -> None:
    data = b"\xef\xbb\xbf" + '{"ä": {"b": 1}}'.encode()
    assert locate(data, [("ä", "b")]) == {("ä", "b"): (1, 13)}


def test_without_text_there_are_no_lines() -> None:
    assert {issue.line for issue in validate_spec(json.loads(TEXT)).errors} == {None}


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ('{"a": 1, "a": 2}', ("a",), (1, 15)),
        ('{"a": {"x": 1}, "a": {"y": 1}}', ("a", "y"), (1, 28)),
        ('{"a\\"\\u0062\\n": [1, 2]}', ('a"b\n', 1), (1, 21)),
        ('{"a": [[1], {"b": 2}]}', ("a", 1, "b"), (1, 19)),
        ('{"": 5}', ("",), (1, 6)),
        ("[1,\n 2", (1,), (2, 2)),
        ('{"a": "unfinished', ("a",), (1, 7)),
        ("]]}}{", ("a",), (1, 5)),
        ("", ("a", "b"), (1, 1)),
        (",,::", (0,), (1, 1)),
    ],
)
def test_places_are_found_in_good_and_broken_text(text: str, path: Any, place: Any) -> None:
    assert locate(text, [path])[path] == place


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=20,
)


def all_paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    found = [(path, value)]
    if isinstance(value, dict):
        for key, item in value.items():
            found += all_paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += all_paths(item, (*path, index))
    return found


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_every_value_is_found_where_it_stands(document: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    lines = text.split("\n")
    decoder = json.JSONDecoder()
    paths = all_paths(document)
    for path, (line, column) in locate(text, [path for path, _ in paths]).items():
        rest = "\n".join([lines[line - 1][column - 1 :], *lines[line:]])
        assert decoder.raw_decode(rest)[0] == dict_at(document, path)


def dict_at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


@given(st.text(alphabet='{}[]",:\\ab1 \n', max_size=60))
def test_no_text_is_too_broken_to_look_into(text: str) -> None:
    line, column = locate(text, [("a", 0, "b")])["a", 0, "b"]
    assert line >= 1
    assert column >= 1


def test_a_deep_text_is_no_danger() -> None:
    assert locate('{"a":' * 100_000, [("a", "a")])["a", "a"] == (1, 11)


def test_pointers_are_escaped() -> None:
    assert pointer_of(("a/b", "~c", 0)) == "/a~1b/~0c/0"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "malformed_json"),
        ("", "malformed_json"),
        ('{"a": NaN}', "malformed_json"),
        ('{"a": 1, "a": 2}', "malformed_json"),
        ('{"a": "\\u0000"}', "malformed_json"),
        ('"\\ud800"', "malformed_json"),
        ("\ud800", "malformed_json"),
        (b"\xff", "malformed_json"),
        ("[" * 100_000, "malformed_json"),
        (" " * 9_000_000, "payload_too_large"),
        ("null", "wrong_type"),
    ],
)
def test_text_that_is_no_spec_is_told_and_never_raises(text: str | bytes, code: str) -> None:
    report = validate(text)
    assert not report.valid
    assert report.errors[0].code == code


def test_one_node_is_checked_alone() -> None:
    report = validate(TEXT, node="a")
    assert {issue.node_id for issue in report.errors} == {"a"}
    assert report.errors[0].line
    assert validate(TEXT, node="in").valid
    assert validate_node(json.loads(TEXT), "in").errors == ()


def test_a_node_that_is_not_there_is_told() -> None:
    checked = validate_node(json.loads(TEXT), "b")
    assert [issue.code for issue in checked.errors] == ["unknown_node"]
    assert validate_node(None, "x").errors[0].code == "unknown_node"


def test_an_issue_is_told_once() -> None:
    findings = Findings()
    for _ in range(3):
        findings.add("cycle", "round", ("edges",))
    assert len(findings.issues()) == 1
    assert findings.issues()[0].hint == CODES["cycle"].remedy


def test_hints_stop_before_they_cost_more_than_the_check() -> None:
    findings = Findings()
    names = [f"name{n}" for n in range(1_000)]
    assert findings.did_you_mean("name1x", names)
    for _ in range(200):
        findings.did_you_mean("name1x", names)
    assert findings.did_you_mean("name1x", names) is None
    assert findings.choices("x", []) == "There are none."


def test_a_name_in_another_case_is_near() -> None:
    assert Findings().did_you_mean("XY", ["xy"]) == "Did you mean 'xy'?"


def test_the_page_of_codes_is_what_the_table_says() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == page(), "run `make reference`"


def test_every_code_says_what_it_means_and_what_to_do() -> None:
    for name, code in CODES.items():
        assert name == name.lower()
        assert code.meaning.endswith(".")
        assert code.remedy.endswith((".", ")."))
        assert f"`{name}`" in page()
