"""Synthetic events: the visits that may have led to an order. Everything here is invented and says so (`context.synthetic`)."""

import random
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from demo import devices
from demo.dataset import Invoice, Line
from demo.messages import CLICKSTREAM, Message, dice, message

LEAD_MS: Final = 50 * 3_600_000  # no visit starts earlier than this before its order
HOUR_MS: Final = 3_600_000
MEAN_VIEWS: Final = 8
MAX_VIEWS: Final = 20


class _Step(NamedTuple):
    """Something a visitor does, before it has a time: a call with its properties, or `login`."""

    kind: str
    properties: dict[str, Any]


def _product(line: Line) -> dict[str, Any]:
    return {"product_id": line.product_id, "name": line.name, "price": float(line.price), "currency": "GBP"}


def _views(invoice: Invoice, catalogue: Sequence[Line], rng: random.Random) -> list[_Step]:
    """Views of bought and other products; about half of the bought ones seen are put into the basket from there."""
    count = min(MAX_VIEWS, 1 + int(rng.expovariate(1 / MEAN_VIEWS)))
    bought = [line for line in invoice.lines if line.quantity > 0 and line.name and float(line.price) >= 0]
    steps: list[_Step] = []
    for _ in range(count):
        line = rng.choice(bought) if bought and rng.random() < 0.7 else rng.choice(catalogue)
        steps.append(_Step("Product Viewed", _product(line)))
        if line in bought and rng.random() < 0.5:
            steps.append(_Step("Product Added", {**_product(line), "quantity": line.quantity}))
    return steps


def _visits(steps: list[_Step], rng: random.Random, *, with_login: bool) -> list[list[_Step]]:
    """Spread the steps over one to three visits, each with its page call; who logs in does so once, at any moment."""
    count = min(rng.choice((1, 1, 2, 2, 3)), len(steps))
    cuts = sorted(rng.sample(range(1, len(steps)), count - 1)) if count > 1 else []
    parts = [steps[start:end] for start, end in zip([0, *cuts], [*cuts, len(steps)], strict=True)]
    visits = [[_Step("page", {"path": rng.choice(("/", "/offers", "/new", "/christmas"))}), *part] for part in parts]
    if with_login:
        visit = rng.choice(visits)
        visit.insert(rng.randint(1, len(visit)), _Step("identify", {}))
    return visits


def _times(visits: list[list[_Step]], order_ms: int, rng: random.Random) -> list[list[int]]:
    """Times of the steps: the last visit ends shortly before the order, the others lie in the two days before it."""
    latest = order_ms
    times: list[list[int]] = []
    for number, visit in enumerate(reversed(visits)):
        pauses = [rng.randint(3_000, 120_000) for _ in visit]
        end = latest - rng.randint(20_000, 300_000) if number == 0 else latest - rng.randint(HOUR_MS, 22 * HOUR_MS)
        start = end - sum(pauses)
        clock = start
        stamps = []
        for pause in pauses:
            stamps.append(clock)
            clock += pause
        times.append(stamps)
        latest = start
    return times[::-1]


def before(invoice: Invoice, catalogue: Sequence[Line]) -> list[Message]:
    """The visits before an order, oldest first: anonymous until the login, with both identifiers after it.

    Args:
        invoice: a sale.
        catalogue: products to look at besides the bought ones.

    Returns:
        Events on the clickstream topic, all within `LEAD_MS` before the order.
    """
    rng = dice("browsing", invoice.number)
    device = devices.of_invoice(invoice)
    visits = _visits(_views(invoice, catalogue, rng), rng, with_login=bool(invoice.customer))
    context = {"channel": device.channel, "synthetic": True}
    user = ""
    events: list[Message] = []
    for visit, times in zip(visits, _times(visits, invoice.time_ms, rng), strict=True):
        for step, time_ms in zip(visit, times, strict=True):
            content: dict[str, Any] = {"properties": step.properties}
            if step.kind == "identify":
                user = invoice.customer
                content = {"traits": {"country": invoice.country, "email": f"customer-{user.removesuffix('.0')}@example.org"}}
            message_id = f"browse-{invoice.number}-{len(events)}"
            events.append(
                message(CLICKSTREAM, time_ms, message_id, step.kind, user=user, device=device.anonymous_id, context=context, **content)
            )
    return events
