"""Write the shop's tables and 300 customer messages with the labels they must get.

    python -m examples.triage.generate [folder]      (from the checkout's root)

A message's intent is known because its sentence comes from that intent's file; its action and
urgency follow from `labels.py`, plain Python over the shop's records. Nothing here knows the
workflow or its patterns. Every fourth sentence of a file is held out: the patterns were written
looking at the others only, and accuracy is told for both.
"""

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from examples.triage import labels
from examples.triage import world as shop

HERE = Path(__file__).parent
COUNTS = {
    "refund": 58,
    "delivery": 74,
    "damaged": 44,
    "billing": 46,
    "praise": 26,
    "spam": 20,
    "unclear": 32,
}
DAYS = ("Monday", "Tuesday", "last Friday", "the 9th", "Thursday", "12 October")


@dataclass(frozen=True)
class Sentence:
    intent: str
    text: str
    half: str


def lines(name: str) -> list[str]:
    return (HERE / "phrases" / f"{name}.txt").read_text().splitlines()


def sentences(chance: random.Random) -> Iterator[Sentence]:
    """As many sentences per intent as COUNTS says, each file used up before it is used again."""
    for intent, count in COUNTS.items():
        pool = [
            Sentence(intent, text, "held_out" if number % 4 == 3 else "development")
            for number, text in enumerate(lines(intent))
        ]
        for start in range(0, count, len(pool)):
            yield from chance.sample(pool, min(len(pool), count - start))


def messages(world: shop.World, seed: int = 300) -> list[dict[str, Any]]:
    """The messages in the order in which they came in."""
    chance = random.Random(seed)
    drawn = list(sentences(chance))
    chance.shuffle(drawn)
    return [_message(chance, world, number, s) for number, s in enumerate(drawn, start=1)]


def _message(
    chance: random.Random, world: shop.World, number: int, sentence: Sentence
) -> dict[str, Any]:
    order = _fitting_order(chance, world, sentence)
    customer = world.customers[order.customer_id - 1]
    urgent = sentence.intent not in ("praise", "spam") and chance.random() < 0.12
    stranger = sentence.intent == "spam" or chance.random() < 0.04
    text = _text(chance, world, sentence, order, customer.name, urgent)
    sender = f"info{number}@promo.example" if sentence.intent == "spam" else customer.email
    if stranger and sentence.intent != "spam":
        sender = f"{customer.name.split(maxsplit=1)[0].lower()}@elsewhere.example"
    received = shop.TODAY + timedelta(days=number // 101)
    known = not stranger and "{order}" in sentence.text
    facts = labels.Facts(sentence.intent, order if known else None, received, urgent)
    return {
        "initial_state": {
            "message_id": f"M-{number:03}",
            "from": sender.title() if chance.random() < 0.1 else sender,
            "received_on": received.isoformat(),
            "user_input": text,
        },
        "expect": labels.expected(world, facts, None if stranger else customer),
        "half": sentence.half,
    }


def _fitting_order(chance: random.Random, world: shop.World, sentence: Sentence) -> shop.Order:
    """People complain about parcels that have not come and return what they have."""
    wanted = {
        "delivery": ("shipped", "processing"),
        "damaged": ("delivered",),
        "praise": ("delivered",),
        "refund": ("delivered", "delivered", "returned", "processing", "shipped"),
    }.get(sentence.intent)
    double = any(word in sentence.text for word in ("twice", "two times", "double", "two trans"))
    paid_twice = labels.paid_twice(world)
    orders = [o for o in world.orders if not double or o.order_number in paid_twice]
    if wanted and chance.random() < 0.85:
        status = chance.choice(wanted)
        orders = [o for o in orders if o.status == status]
    return chance.choice(orders)


def _text(
    chance: random.Random,
    world: shop.World,
    sentence: Sentence,
    order: shop.Order,
    name: str,
    urgent: bool,
) -> str:
    digits = order.order_number.removeprefix("HL-")
    body = sentence.text
    for slot, value in {
        "{order}": chance.choice((f"HL-{digits}", f"HL-{digits}", f"#{digits}", f"hl{digits}")),
        "{item}": world.items[order.sku]["name"],
        "{day}": chance.choice(DAYS),
        "{amount}": f"€{order.total_cents // 100}.{order.total_cents % 100:02}",
    }.items():
        body = body.replace(slot, value)
    parts = [body]
    if sentence.intent != "spam" and chance.random() < 0.7:
        parts.insert(0, chance.choice(lines("openers")))
    if urgent:
        parts.append(chance.choice(lines("urgent")))
    if sentence.intent != "spam" and chance.random() < 0.6:
        closer = chance.choice(lines("closers"))
        parts.append(
            closer.replace("{name}", name.split(maxsplit=1)[0]).replace("{full_name}", name)
        )
    text = chance.choice(("\n", "\n\n", " ")).join(parts)
    style = chance.random()
    return text.lower() if style < 0.06 else text.upper() if style < 0.09 else text


def main(folder: Path) -> None:
    world = shop.build()
    shop.write(world, folder)
    with (folder / "messages.jsonl").open("w") as file:
        for message in messages(world):
            file.write(json.dumps(message, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "data")
