"""The shop's data and labels are what the generator says, and what a reader would say."""

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from examples.triage import generate, labels
from examples.triage import world as shop
from tests.support.examples import EXAMPLES

TRIAGE = EXAMPLES / "triage"

# Labelled by reading the message and looking the order up in the CSV files.
READ_BY_HAND = {
    "M-001": ("praise", "HL-25591", "thank", "low"),
    "M-002": ("refund", "HL-28536", "refuse_parcel", "normal"),
    "M-003": ("billing", "HL-28931", "send_invoice", "normal"),
    "M-006": ("refund", None, "ask_order_number", "high"),  # a gold customer
    "M-007": ("delivery", "HL-20499", "give_dispatch_date", "normal"),
    "M-008": ("spam", None, "discard", "low"),
    "M-009": ("billing", "HL-21979", "refund_duplicate", "high"),
    "M-012": ("unclear", "HL-22139", "ask_details", "high"),  # a gold customer
    "M-013": ("damaged", "HL-26953", "send_replacement", "high"),
    "M-015": ("refund", "HL-22553", "pay_back", "normal"),
    "M-016": ("refund", "HL-20172", "review_late_return", "normal"),
    "M-017": ("delivery", "HL-22539", "chase_carrier", "high"),
    "M-019": ("damaged", "HL-28411", "offer_compensation", "high"),
    "M-023": ("refund", "HL-24827", "cancel_order", "normal"),
    "M-027": ("delivery", "HL-29158", "send_proof_of_delivery", "normal"),
    "M-060": ("delivery", "HL-22758", "send_tracking", "high"),  # says it is urgent
    "M-064": ("refund", "HL-28416", "send_return_label", "normal"),
}


@pytest.fixture
def messages() -> dict[str, dict[str, Any]]:
    lines = (TRIAGE / "data" / "messages.jsonl").read_text().splitlines()
    return {m["initial_state"]["message_id"]: m for m in map(json.loads, lines)}


def test_the_committed_files_are_what_the_generator_writes(tmp_path: Path) -> None:
    generate.main(tmp_path)
    for path in sorted((TRIAGE / "data").iterdir()):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_there_are_300_messages_of_every_kind(messages: Mapping[str, dict[str, Any]]) -> None:
    assert len(messages) == 300
    assert Counter(m["expect"]["intent"] for m in messages.values()) == generate.COUNTS
    assert len({m["initial_state"]["user_input"] for m in messages.values()}) > 280


def test_every_action_of_the_desk_is_needed(messages: Mapping[str, dict[str, Any]]) -> None:
    wanted = Counter(m["expect"]["action"] for m in messages.values())
    assert len(wanted) == 17
    assert min(wanted.values()) >= 1


@pytest.mark.parametrize("message_id", READ_BY_HAND)
def test_a_label_is_what_a_reader_says(
    message_id: str, messages: Mapping[str, dict[str, Any]]
) -> None:
    expect = messages[message_id]["expect"]
    said = (expect["intent"], expect["order_number"], expect["action"], expect["priority"])
    assert said == READ_BY_HAND[message_id]


def test_the_database_holds_what_the_files_hold(example_data: Path, example_environ: Any) -> None:
    world = shop.build()
    with sqlite3.connect(example_data / "shop.db") as connection:
        for table, rows in (("orders", world.orders), ("payments", world.payments)):
            (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
            assert count == len(rows)
        twice = connection.execute(
            "SELECT order_number FROM payments GROUP BY order_number HAVING COUNT(*) > 1"
        ).fetchall()
    connection.close()
    assert {number for (number,) in twice} == labels.paid_twice(world)
