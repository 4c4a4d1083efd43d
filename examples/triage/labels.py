"""What the desk must do with a message: plain Python over the shop's records.

Written from the desk's rules (README.md), not from the workflow, which is held against it.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any

from examples.triage import world as shop

RETURN_DAYS = 30


@dataclass(frozen=True)
class Facts:
    """What is known about a message. `order` is None unless it is named and the sender's own."""

    intent: str
    order: shop.Order | None
    received_on: date
    urgent: bool


def expected(world: shop.World, facts: Facts, customer: shop.Customer | None) -> dict[str, Any]:
    action = _action(world, facts)
    return {
        "intent": facts.intent,
        "order_number": facts.order.order_number if facts.order else None,
        "action": action,
        "priority": _priority(facts, action, customer),
    }


def paid_twice(world: shop.World) -> set[str]:
    """Numbers of the orders that were charged more than once."""
    times = Counter(payment.order_number for payment in world.payments)
    return {number for number, count in times.items() if count > 1}


def _action(world: shop.World, facts: Facts) -> str:
    if facts.intent in ("praise", "spam", "unclear"):
        return {"praise": "thank", "spam": "discard", "unclear": "ask_details"}[facts.intent]
    if facts.order is None:
        return "ask_order_number"
    if facts.intent == "refund":
        return _refund(facts.order, facts.received_on)
    if facts.intent == "delivery":
        return _delivery(facts.order, facts.received_on)
    if facts.intent == "damaged":
        in_stock = int(world.items[facts.order.sku]["in_stock"]) >= facts.order.quantity
        return "send_replacement" if in_stock else "offer_compensation"
    return "refund_duplicate" if facts.order.order_number in paid_twice(world) else "send_invoice"


def _refund(order: shop.Order, today: date) -> str:
    if order.status == "processing":
        return "cancel_order"
    if order.status == "shipped":
        return "refuse_parcel"
    if order.status == "returned":
        return "pay_back"
    kept = (today - date.fromisoformat(order.delivered_on)).days
    return "send_return_label" if kept <= RETURN_DAYS else "review_late_return"


def _delivery(order: shop.Order, today: date) -> str:
    if order.status == "processing":
        return "give_dispatch_date"
    if order.status == "shipped":
        late = today > date.fromisoformat(order.promised_on)
        return "chase_carrier" if late else "send_tracking"
    return "send_proof_of_delivery"


def _priority(facts: Facts, action: str, customer: shop.Customer | None) -> str:
    if facts.intent in ("praise", "spam"):
        return "low"
    gold = customer is not None and customer.tier == "gold"
    pressing = action in ("chase_carrier", "refund_duplicate") or facts.intent == "damaged"
    return "high" if gold or pressing or facts.urgent else "normal"
