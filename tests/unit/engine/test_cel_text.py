"""Reading CEL as tokens: scopes, depth, and never mistaking text for code."""

from hypothesis import given
from hypothesis import strategies as st

from agentflow.engine.cel_text import read, tokens


def test_strings_and_comments_are_no_code() -> None:
    text = """a == 'b.all(c, d)' && r"\\(" != '''x'y''' // e.all(f, g)"""
    reading = read(text)
    assert reading.free == {"a"}
    assert reading.macro_depth == 0
    assert [word.text for word in tokens(text) if word.kind == "string"] == [
        "'b.all(c, d)'",
        'r"\\("',
        "'''x'y'''",
    ]


def test_macros_nest_and_chain() -> None:
    assert read("a.all(x, true)").macro_depth == 1
    assert read("a.all(x, x.all(y, true))").macro_depth == 2
    assert read("a.map(x, x).filter(x, true)").macro_depth == 2
    assert read("(a.map(x, x)).filter(x, true)").macro_depth == 2
    assert read("a.all(x, true) && b.all(y, true)").macro_depth == 1


def test_functions_called_like_macros_bind_nothing() -> None:
    reading = read("all(x, y) && a.other(z)")
    assert reading.macro_depth == 0
    assert {"x", "y", "z"} <= reading.free
    assert reading.calls == {"all", "other"}


def test_literals_and_operators_are_counted() -> None:
    reading = read("[1, 2, 3].size() + {'a': 1, 'b': 2}.size() + 1 > 0")
    assert reading.longest_literal == 3
    assert reading.plus_signs == 2
    assert reading.brackets == 1


@given(st.text(alphabet="ab.(){}[]'\"\\,+ /\nrall map", max_size=200))
def test_no_text_is_too_broken_to_read(text: str) -> None:
    assert read(text).brackets <= len(text)
    assert all(text.startswith(word.text, word.start) for word in tokens(text))
