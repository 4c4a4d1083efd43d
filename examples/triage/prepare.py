"""Build the SQLite database of the triage example from the committed CSV files.

python examples/triage/prepare.py path/to/triage.db
"""

import csv
import sqlite3
import sys
from pathlib import Path

HERE = Path(__file__).parent
SCHEMA = """
CREATE TABLE customers (customer_id INTEGER PRIMARY KEY, name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE, tier TEXT NOT NULL, since TEXT NOT NULL);
CREATE TABLE items (sku TEXT PRIMARY KEY, name TEXT NOT NULL, price_cents INTEGER NOT NULL,
    in_stock INTEGER NOT NULL);
CREATE TABLE orders (order_number TEXT PRIMARY KEY, customer_id INTEGER NOT NULL,
    sku TEXT NOT NULL, quantity INTEGER NOT NULL, total_cents INTEGER NOT NULL,
    status TEXT NOT NULL, placed_on TEXT NOT NULL, promised_on TEXT NOT NULL,
    delivered_on TEXT NOT NULL);
CREATE INDEX orders_of_customer ON orders (customer_id);
CREATE TABLE shipments (order_number TEXT PRIMARY KEY, carrier TEXT NOT NULL,
    tracking_code TEXT NOT NULL, last_seen TEXT NOT NULL);
CREATE TABLE payments (payment_id INTEGER PRIMARY KEY, order_number TEXT NOT NULL,
    amount_cents INTEGER NOT NULL, charged_on TEXT NOT NULL);
CREATE INDEX payments_of_order ON payments (order_number);
CREATE TABLE playbook (intent TEXT NOT NULL, situation TEXT NOT NULL, action TEXT NOT NULL,
    reply TEXT NOT NULL, PRIMARY KEY (intent, situation));
"""
TABLES = {
    "customers": "data/customers.csv",
    "items": "items.csv",
    "orders": "data/orders.csv",
    "shipments": "data/shipments.csv",
    "payments": "data/payments.csv",
    "playbook": "playbook.csv",
}


def load(connection: sqlite3.Connection, table: str, path: Path) -> None:
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    columns, marks = ", ".join(header), ", ".join("?" * len(header))
    connection.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)


def main(target: Path) -> None:
    """Write `target` anew; a database that is there already is replaced in one step."""
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    connection = sqlite3.connect(fresh)
    try:
        connection.executescript(SCHEMA)
        for table, path in TABLES.items():
            load(connection, table, HERE / path)
        connection.commit()
    finally:
        connection.close()
    fresh.replace(target)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: prepare.py DATABASE  (the SQLite file to write)")
    main(Path(sys.argv[1]))
