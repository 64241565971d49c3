"""Real events: each invoice of the data set as `Order Completed` or `Order Refunded`, nothing added but a channel."""

from typing import Any

from demo import devices
from demo.dataset import Invoice, Line
from demo.messages import ORDERS, Message, message

CURRENCY = "GBP"


def _product(line: Line, quantity: int) -> dict[str, Any]:
    name = {"name": line.name} if line.name else {}
    return {"product_id": line.product_id, **name, "quantity": quantity, "price": float(line.price)}


def to_event(invoice: Invoice) -> Message:
    """Turn an invoice into its event.

    Stock write-offs (negative quantities) and bad debt (a negative price) become `Order Completed` as they are: the
    platform has to refuse them.

    Args:
        invoice: of the data set.

    Returns:
        An event on the orders topic. Amounts are in pounds; `total` is the sum of the lines rounded to pence.
    """
    sign = -1 if invoice.is_refund else 1
    total = sum(line.minor_units(sign * line.quantity) for line in invoice.lines) / 100
    money = {"total": total, "currency": CURRENCY, "products": [_product(line, sign * line.quantity) for line in invoice.lines]}
    device = devices.of_invoice(invoice)
    invented = ["context.channel"] if invoice.customer else ["context.channel", "anonymousId"]
    name, identifier = ("Order Refunded", "refund_id") if invoice.is_refund else ("Order Completed", "order_id")
    return message(
        ORDERS,
        invoice.time_ms,
        f"{'refund' if invoice.is_refund else 'order'}-{invoice.number}",
        name,
        user=invoice.customer,
        device="" if invoice.customer else device.anonymous_id,
        context={"channel": device.channel, "country": invoice.country, "syntheticFields": invented},
        properties={identifier: invoice.number, **money},
    )
