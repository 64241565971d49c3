"""Synthetic events: some customers who sent goods back also wrote to the service desk."""

from typing import Final

from demo.dataset import Invoice
from demo.messages import SERVICE, Message, dice, message

SHARE: Final = 0.4


def after(invoice: Invoice) -> list[Message]:
    """`Ticket Opened` within hours of a refund and `Ticket Closed` a day or so later, for some of the refunds with a customer."""
    rng = dice("service", invoice.number)
    if not invoice.customer or rng.random() >= SHARE:
        return []
    opened_ms = invoice.time_ms + rng.randint(5 * 60_000, 6 * 3_600_000)
    closed_ms = opened_ms + rng.randint(6 * 3_600_000, 48 * 3_600_000)
    channel = rng.choice(("call_centre", "email"))
    ticket = {"ticket_id": f"ticket-{invoice.number}", "category": "return", "channel": channel}
    outcome = {"csat": rng.choice((2, 3, 4, 4, 5, 5)), "resolution_time_s": (closed_ms - opened_ms) // 1000}
    steps = (
        ("opened", opened_ms, "Ticket Opened", {**ticket, "priority": rng.choice(("low", "normal", "high"))}),
        ("closed", closed_ms, "Ticket Closed", {**ticket, **outcome}),
    )
    context = {"channel": channel, "synthetic": True}
    return [
        message(
            SERVICE,
            time_ms,
            f"ticket-{invoice.number}-{step}",
            name,
            user=invoice.customer,
            device="",
            context=context,
            properties=properties,
        )
        for step, time_ms, name, properties in steps
    ]
