"""The shop the triage example works in: 120 customers, 420 orders, their parcels and payments.

Everything follows from one seed and a fixed day, so the committed CSV files can be made again
byte for byte. Money is in cents; dates are ISO days.
"""

import csv
import random
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).parent
TODAY = date(2026, 10, 15)

FIRST_NAMES = """
    Amina Bjorn Chiara Dmitri Elif Farah Grace Hugo Ines Jonas Katarzyna Liam Mei Nadia Oscar
    Priya Quentin Rosa Samir Tuva Ursula Viktor Wanda Xavier Yuki Zoltan Adaeze Bruno Clara Diego
"""
LAST_NAMES = """
    Abdi Berg Costa Diaz Eriksen Ferrari Garcia Haddad Ito Jensen Kowalski Lindqvist Moreau Nowak
    Okafor Petrov Quinn Rossi Silva Tanaka Ueda Varga Weber Yilmaz Zhang
"""
CARRIERS = ("Northway", "Parcelfox", "Blue Van")


@dataclass(frozen=True)
class Customer:
    customer_id: int
    name: str
    email: str
    tier: str
    since: str


@dataclass(frozen=True)
class Order:
    order_number: str
    customer_id: int
    sku: str
    quantity: int
    total_cents: int
    status: str
    placed_on: str
    promised_on: str
    delivered_on: str


@dataclass(frozen=True)
class Shipment:
    order_number: str
    carrier: str
    tracking_code: str
    last_seen: str


@dataclass(frozen=True)
class Payment:
    payment_id: int
    order_number: str
    amount_cents: int
    charged_on: str


@dataclass(frozen=True)
class World:
    items: dict[str, dict[str, str]]
    customers: list[Customer]
    orders: list[Order]
    shipments: list[Shipment]
    payments: list[Payment]


def build(seed: int = 2026) -> World:
    """The whole shop."""
    chance = random.Random(seed)
    with (HERE / "items.csv").open(newline="") as file:
        items = {row["sku"]: row for row in csv.DictReader(file)}
    customers = [_customer(chance, number) for number in range(1, 121)]
    orders = [_order(chance, number, items) for number in _order_numbers(chance, 420)]
    shipments = [_shipment(chance, order) for order in orders if order.status != "processing"]
    payments: list[Payment] = []
    for order in orders:
        for _ in range(2 if chance.random() < 0.12 else 1):
            payments.append(
                Payment(len(payments) + 1, order.order_number, order.total_cents, order.placed_on)
            )
    return World(items, customers, orders, shipments, payments)


def _customer(chance: random.Random, number: int) -> Customer:
    first, last = chance.choice(FIRST_NAMES.split()), chance.choice(LAST_NAMES.split())
    host = chance.choice(("example.com", "example.org", "example.net"))
    tier = chance.choices(("standard", "plus", "gold"), (75, 17, 8))[0]
    since = TODAY - timedelta(days=chance.randrange(30, 2600))
    email = f"{first}.{last}{number}@{host}".lower()
    return Customer(number, f"{first} {last}", email, tier, since.isoformat())


def _order_numbers(chance: random.Random, count: int) -> list[int]:
    return sorted(chance.sample(range(20_000, 30_000), count))


def _order(chance: random.Random, number: int, items: dict[str, dict[str, str]]) -> Order:
    sku = chance.choice(sorted(items))
    quantity = chance.choices((1, 2, 4), (80, 15, 5))[0]
    placed = TODAY - timedelta(days=chance.randrange(1, 75))
    promised = placed + timedelta(days=chance.randrange(4, 11))
    status, delivered = _progress(chance, placed, promised)
    return Order(
        order_number=f"HL-{number}",
        customer_id=chance.randrange(1, 121),
        sku=sku,
        quantity=quantity,
        total_cents=quantity * int(items[sku]["price_cents"]),
        status=status,
        placed_on=placed.isoformat(),
        promised_on=promised.isoformat(),
        delivered_on=delivered,
    )


def _progress(chance: random.Random, placed: date, promised: date) -> tuple[str, str]:
    """Status and day of delivery: most arrive on time, some late, some never."""
    if (TODAY - placed).days < 3:
        return "processing", ""
    arrives = promised + timedelta(days=chance.choices((-2, 0, 3, 40), (45, 25, 10, 20))[0])
    if arrives >= TODAY:
        return "shipped", ""
    return ("returned" if chance.random() < 0.12 else "delivered"), arrives.isoformat()


def _shipment(chance: random.Random, order: Order) -> Shipment:
    seen = order.delivered_on or order.placed_on
    code = f"{chance.randrange(10**9, 10**10)}"
    return Shipment(order.order_number, chance.choice(CARRIERS), code, seen)


def write(world: World, folder: Path) -> None:
    """One CSV file per table."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = (
        ("customers", world.customers),
        ("orders", world.orders),
        ("shipments", world.shipments),
        ("payments", world.payments),
    )
    for name, rows in tables:
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(asdict(rows[0])), lineterminator="\n")
            writer.writeheader()
            writer.writerows(asdict(row) for row in rows)
