"""Patterns: RE2, linear, with clear refusals."""

from typing import Any

import pytest

from agentflow.engine.errors import BadPattern
from agentflow.engine.patterns import MAX_LENGTH, compile_pattern


def test_a_pattern_is_searched_anywhere() -> None:
    assert compile_pattern(r"order \d+").search("my order 12, please")
    assert not compile_pattern(r"order \d+").search("my Order 12")


def test_case_can_be_ignored() -> None:
    assert compile_pattern("ÄRGER", ignore_case=True).search("so ein ärger")


def test_a_pattern_made_to_explode_is_linear() -> None:
    assert not compile_pattern("^(a+)+$").search("a" * 50_000 + "b")


@pytest.mark.parametrize("text", ["(", "(?=a)", r"(a)\1", "(?<=x)y", "a{1000}{1000}", "\ud800"])
def test_what_re2_cannot_do_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(BadPattern, match="RE2") as caught:
        compile_pattern(text)
    assert "look-around" in (caught.value.hint or "")


def test_what_is_no_text_or_too_long_is_refused() -> None:
    bad: Any
    for bad in (None, 1, ["a"], "a" * (MAX_LENGTH + 1)):
        with pytest.raises(BadPattern):
            compile_pattern(bad)
