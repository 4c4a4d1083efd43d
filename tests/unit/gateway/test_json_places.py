"""Where a member's value stands in JSON text."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentflow.gateway.json_places import place_of

values = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


def test_the_value_is_cut_out_with_its_line_and_column() -> None:
    text = '{\n  "a": [1, "}"],\n  "workflow" :\n    {"nodes": []}\n}'
    place = place_of(text, "workflow")
    assert place is not None
    assert (place.text, place.line, place.column) == ('{"nodes": []}', 4, 5)


def test_a_member_of_the_first_line_counts_its_column_from_one() -> None:
    place = place_of('{"workflow": 7}', "workflow")
    assert place is not None
    assert (place.text, place.line, place.column) == ("7", 1, 14)


def test_what_is_not_there_has_no_place() -> None:
    for text in ("{}", " { } ", '{"a": {"workflow": 1}}', '{"a": "workflow"}'):
        assert place_of(text, "workflow") is None


@given(
    st.dictionaries(st.text(max_size=6), values, max_size=5),
    values,
    st.sampled_from([None, 1, "\t"]),
)
def test_any_object_gives_its_members_back(
    others: dict[str, Any], wanted: Any, indent: int | str | None
) -> None:
    document = {**others, "workflow": wanted}
    text = json.dumps(document, indent=indent)
    place = place_of(text, "workflow")
    assert place is not None
    assert json.loads(place.text) == wanted
    line = text.splitlines()[place.line - 1] if indent else text
    assert line[place.column - 1 :].startswith(place.text.split("\n")[0])
