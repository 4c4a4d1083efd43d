"""Cursors come back from strangers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.storage.errors import BadCursor
from agentflow.storage.pages import clamp_limit, decode_cursor, encode_cursor

MOMENTS = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone itself
    timezones=st.just(UTC),
)


@given(MOMENTS, st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True))
def test_a_cursor_comes_back_as_it_was(at: datetime, item_id: str) -> None:
    assert decode_cursor(encode_cursor(at, item_id)) == (at, item_id)


def test_a_cursor_is_the_same_instant_whatever_the_zone() -> None:
    there = datetime(2026, 11, 21, 5, tzinfo=timezone(timedelta(hours=2)))
    assert decode_cursor(encode_cursor(there, "x"))[0] == datetime(2026, 11, 21, 3, tzinfo=UTC)


NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)  # test ids are the same in every process
BAD = ["", "x", "!!!", "W10", "eyJhIjoxfQ", "a" * 600, "é", encode_cursor(NOON, "a\0")]


@pytest.mark.parametrize("cursor", BAD)
def test_what_is_no_cursor_is_a_clear_error(cursor: str) -> None:
    with pytest.raises(BadCursor, match="cursor"):
        decode_cursor(cursor)


@given(st.text(max_size=100))
def test_no_text_makes_it_fail_in_another_way(cursor: str) -> None:
    try:
        decode_cursor(cursor)
    except BadCursor:
        return


def test_page_sizes_are_kept_within_bounds() -> None:
    assert [clamp_limit(n) for n in (-5, 0, 1, 50, 10**9)] == [1, 1, 1, 50, 500]
