"""Bodies of synthetic events, rendered once: what differs from event to event is left open and filled in when it is sent."""

import random
from typing import Any, Final, NamedTuple

import orjson

from demo.messages import CLICKSTREAM, ORDERS, SERVICE, TENANT

CURRENCY: Final = "GBP"
PRODUCTS: Final = 5_000
TOPICS: Final = {
    "Product Viewed": CLICKSTREAM,
    "Product Added": CLICKSTREAM,
    "Order Completed": ORDERS,
    "Order Refunded": ORDERS,
    "Ticket Opened": SERVICE,
}
# Events without a document of their own; the others carry an order, refund or ticket id.
PLAIN: Final = frozenset({"Product Viewed", "Product Added"})
_OPEN: Final = ("@message@", "@user@", "@device@", "@time@", "@sent@", "@document@", "@order@")
_AGENT: Final = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36",
)
_CATEGORIES: Final = ("Home & Garden > Lighting > Table lamps", "Kitchen > Baking > Cake tins", "Gifts > Seasonal > Christmas decorations")
_WORDS: Final = ("White", "Hanging", "Heart", "Holder", "Vintage", "Paper", "Lantern", "Retro", "Spot", "Jumbo", "Bag", "Metal", "Sign")


class Template(NamedTuple):
    """One body.

    Attributes:
        name: event name.
        topic: raw topic.
        text: JSON for `%` with message id, user, device (user), time, time, and for documents their id (message id); refunds also the
            order's id.
    """

    name: str
    topic: str
    text: bytes


def make(name: str, dice: random.Random) -> Template:
    """One body of an event.

    Args:
        name: one of `TOPICS`.
        dice: randomness.
    """
    return _template(name, _PROPERTIES[name](dice), dice)


def _template(name: str, properties: dict[str, Any], dice: random.Random) -> Template:
    body = {
        "type": "track",
        "event": name,
        "messageId": "@message@",
        "tenant": TENANT,
        "userId": "@user@",
        "anonymousId": "d-@device@",
        "timestamp": "@time@",
        "sentAt": "@sent@",
        "context": _context(name, dice),
        "properties": properties,
    }
    return Template(name, TOPICS[name], _opened(orjson.dumps(body)))


def refund_of(order: Template, dice: random.Random) -> Template:
    """The refund of the first line of an order.

    Args:
        order: body of an `Order Completed`.
        dice: randomness.
    """
    fill = dict.fromkeys(_OPEN, "0")
    sold: dict[str, Any] = orjson.loads(order.text % tuple(fill[name].encode() for name in _OPEN[:6]))["properties"]
    line = sold["products"][0]
    total = round(line["price"] * line["quantity"], 2)
    money = {"total": total, "currency": CURRENCY, "products": [line]}
    properties = {"refund_id": "r-@document@", "order_id": "o-@order@", "reason": _phrase(dice, 8)} | money
    return _template("Order Refunded", properties, dice)


def _opened(rendered: bytes) -> bytes:
    """Turn the marks into places for `%`, in the order in which they stand."""
    text = rendered.replace(b"%", b"%%")
    places = sorted((text.index(mark.encode()), mark) for mark in _OPEN if mark.encode() in text)
    assert [mark for _, mark in places] in ([*_OPEN[:5]], [*_OPEN[:6]], [*_OPEN])
    for mark in _OPEN:
        text = text.replace(mark.encode(), b"%b")
    return text


def _context(name: str, dice: random.Random) -> dict[str, Any]:
    search = "https://www.example.com/search?q=" + _phrase(dice, 2).replace(" ", "+")
    page = {"path": f"/p/{dice.randrange(PRODUCTS):05d}", "referrer": search}
    channels = ("web", "web", "mobile_app", "mini_program") if name in PLAIN else ("web", "store", "call_centre")
    return {
        "channel": dice.choice(channels),
        "ip": f"203.0.113.{dice.randrange(256)}",
        "locale": "en-GB",
        "userAgent": dice.choice(_AGENT),
        "campaign": {"name": _phrase(dice, 2), "source": "newsletter", "medium": "email"},
        "page": page,
    }


def _phrase(dice: random.Random, words: int) -> str:
    return " ".join(dice.choice(_WORDS) for _ in range(words))


def _product(dice: random.Random) -> dict[str, Any]:
    # Popular products are seen more often than others, much as in a shop.
    number = int(PRODUCTS * dice.random() ** 3)
    return {"product_id": f"{number:05d}", "name": _phrase(dice, 4).upper(), "price": round(dice.uniform(0.5, 40.0), 2)}


def _shown(dice: random.Random) -> dict[str, Any]:
    kind = {"category": dice.choice(_CATEGORIES), "brand": _phrase(dice, 1), "variant": _phrase(dice, 1)}
    return _product(dice) | kind | {"currency": CURRENCY, "position": dice.randrange(60)}


def _added(dice: random.Random) -> dict[str, Any]:
    return _shown(dice) | {"quantity": dice.randint(1, 4), "cart_id": f"c-{dice.randrange(10**9):09d}"}


def _ordered(dice: random.Random) -> dict[str, Any]:
    products = [_product(dice) | {"quantity": dice.randint(1, 6)} for _ in range(dice.randint(1, 4))]
    total = round(sum(line["price"] * line["quantity"] for line in products), 2)
    return {"order_id": "o-@document@", "total": total, "currency": CURRENCY, "coupon": _phrase(dice, 1).upper(), "products": products}


def _ticket(dice: random.Random) -> dict[str, Any]:
    about = {"category": dice.choice(("delivery", "return", "damage")), "channel": "email", "priority": "normal"}
    return {"ticket_id": "t-@document@", "subject": _phrase(dice, 24)} | about


_PROPERTIES: Final = {"Product Viewed": _shown, "Product Added": _added, "Order Completed": _ordered, "Ticket Opened": _ticket}
