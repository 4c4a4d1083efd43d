"""What strangers send: all good JSON comes through unchanged, all else is refused by name."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentflow.contracts.errors import MalformedJson, PayloadTooLarge
from agentflow.contracts.strict_json import JsonLimits, check_text, clean_text, parse_json
from tests.support.messages import json_values


@given(json_values, st.booleans())
@example({"a": None, "deep": [[[{}]]]}, False)
@example("\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), True)
@example(2**64 - 1, True)
@example(-(2**63), True)
@example('"[[[[{{{{\\', True)
def test_sane_json_parses_to_itself(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert parse_json(text.encode()) == value


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda t: t.encode("utf-8", "ignore")))
def test_any_bytes_are_parsed_or_refused_and_nothing_else_happens(data: bytes) -> None:
    try:
        value = parse_json(data)
    except MalformedJson:
        return
    json.dumps(value, allow_nan=False).encode("utf-8")
    assert value == json.loads(data)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "line 1, column 1"),
        (b"   ", "Not valid JSON"),
        (b'{"a": 1,}', "line 1, column"),
        (b'{"a": 1\n "b": 2}', "line 2, column 2"),
        (b"{'a': 1}", "Not valid JSON"),
        (b"1 2", "Extra data"),
        (b"\xef\xbb\xbf{}", "BOM"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8 at byte 0"),
        (b'"\xed\xa0\x80"', "not UTF-8 at byte 1"),
        (b"NaN", "NaN is not a JSON number"),
        (b'{"a": [Infinity]}', "Infinity is not"),
        (b"-Infinity", "-Infinity is not"),
        (b"1e999", "out of range"),
        (b"-1e999", "out of range"),
        (b"18446744073709551616", "does not fit into 64 bits"),
        (b"-9223372036854775809", "does not fit into 64 bits"),
        (b"9" * 1_000_000, "does not fit into 64 bits"),
        (b'"a\x00b"', "Invalid control character"),
        (b'"a\\u0000b"', "NUL character in the document"),
        (b'{"a": {"b/c": ["x", "\\u0000"]}}', "NUL character in /a/b~1c/1"),
        (b'{"a~": "\\u0000"}', "NUL character in /a~0"),
        (b'{"a\\u0000": 1}', "NUL character"),
        (b'{"x": "\\ud800"}', "lone surrogate in /x"),
        (b'{"\\udfff": 1}', "lone surrogate"),
        (b'"\\udc00\\ud800"', "lone surrogate"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "'c' appears twice"),
        (b"[" * 100_000, "deeper than 100 levels at byte 100"),
        (b"[" * 101 + b"]" * 101, "deeper than 100"),
        (b'{"a":' * 100_000, "deeper than 100"),
        (b'[{"a":' * 51, "deeper than 100"),
        (b"[" * 50 + b'"[[[[[[' + b"]" * 60, "Not valid JSON"),
    ],
)
def test_what_no_database_could_store_is_refused_by_name_and_place(body: bytes, says: str) -> None:
    with pytest.raises(MalformedJson) as refused:
        parse_json(body)
    assert says in refused.value.message
    assert len(refused.value.message) < 1000
    problem = refused.value.to_problem()
    assert (problem.status, problem.code) == (422, "malformed_json")


def test_nesting_up_to_the_limit_is_fine_and_brackets_in_strings_do_not_count() -> None:
    parse_json(b"[" * 100 + b"]" * 100)
    text = '[[[{{{"\\"]]]' * 1000
    assert parse_json(json.dumps([text, "\\"] * 3).encode()) == [text, "\\"] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 101 + b'"\\' * 1_500_000,
        b'"' + b"a" * 4_000_000 + b"[" * 200,
        b'"' + b'\\"[' * 1_500_000,
        b'["' * 1_500_000,
        b'"' + b"\\" * 4_000_001 + b"[" * 200,
    ],
    ids=["escaped quotes", "open string", "escapes in an open string", "pairs", "backslashes"],
)
def test_strings_without_an_end_cost_no_more_than_their_length(body: bytes) -> None:
    """The suite's timeout is the proof: a quadratic scan of these takes hours."""
    with pytest.raises(MalformedJson):
        parse_json(body)


def test_a_long_key_is_not_repeated_in_full() -> None:
    key = "k" * 1_000_000
    with pytest.raises(MalformedJson) as refused:
        parse_json(f'{{"{key}": 1, "{key}": 2}}'.encode())
    assert len(refused.value.message) < 300
    with pytest.raises(MalformedJson) as refused:
        parse_json(f'{{"{key}": "\\u0000"}}'.encode())
    assert len(refused.value.message) < 600


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    with pytest.raises(PayloadTooLarge, match="101 bytes; at most 100") as refused:
        parse_json(b"\xff" * 101, JsonLimits(max_bytes=100))
    assert refused.value.status == 413


def test_too_many_keys_are_refused_over_the_whole_document() -> None:
    body = json.dumps([{"a": 1, "b": 2}] * 6).encode()
    parse_json(body, JsonLimits(max_keys=12))
    with pytest.raises(MalformedJson, match="Too many keys"):
        parse_json(body, JsonLimits(max_keys=11))


def test_a_deep_limit_the_parser_itself_cannot_reach_is_still_an_answer() -> None:
    with pytest.raises(MalformedJson, match="deeper"):
        parse_json(b"[" * 90_000 + b"]" * 90_000, JsonLimits(max_depth=100_000))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(anything)
@example({"\ud800": ["a\x00", ("\udfff",)]})
@example("\ufeff\ufeff")
@example("\ud83d\ude00")
def test_cleaned_text_always_passes_the_check(value: Any) -> None:
    cleaned = clean_text(value)
    check_text(cleaned)
    assert clean_text(cleaned) == cleaned
    json.dumps(cleaned).encode("utf-8")


@given(json_values)
def test_clean_text_leaves_clean_json_alone(value: object) -> None:
    assert clean_text(value) == value


def test_clean_text_replaces_what_it_must() -> None:
    assert clean_text({"a\x00": ["x\ud800y", 1, None]}) == {"a\ufffd": ["x\ufffdy", 1, None]}


@given(anything)
def test_check_text_says_no_exactly_when_clean_text_would_change_something(value: Any) -> None:
    as_lists = json.loads(json.dumps(value))
    try:
        check_text(value)
    except MalformedJson:
        assert clean_text(as_lists) != as_lists
    else:
        assert clean_text(as_lists) == as_lists
