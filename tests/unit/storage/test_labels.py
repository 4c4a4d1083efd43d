"""What lists are narrowed by is cut and folded alike when written and when asked for."""

from agentflow.storage.labels import (
    MAX_LABELS,
    MAX_LENGTH,
    labels,
    metadata_value,
    searchable,
    tag_label,
)


def test_tags_and_plain_metadata_become_labels_and_nothing_else_does() -> None:
    found = labels(["vip", "vip"], {"shop": 7, "live": True, "x": None, "deep": {}, "": "no"})
    assert found == [("", "vip"), ("shop", "7"), ("live", "true")]


def test_long_labels_are_cut_where_the_question_is_cut() -> None:
    long = "t" * 1000
    assert labels([long], {long: long}) == [
        ("", tag_label(long)),
        ("t" * MAX_LENGTH, metadata_value(long)),
    ]
    assert len(tag_label(long)) == MAX_LENGTH


def test_nobody_can_fill_the_index_with_one_execution() -> None:
    assert len(labels([f"t{n}" for n in range(1000)], {})) == MAX_LABELS


def test_no_label_and_no_search_text_holds_a_nul() -> None:
    assert "\0" not in labels(["a\0b"], {"k\0": "v\0"}).__repr__().replace("\\x00", "\0")
    assert searchable("A\0B") == "a b"


def test_search_folds_case_in_every_script() -> None:
    assert searchable("STRASSE Ähre") == searchable("straße äHRE")
