"""Mutants of valid raw records: one to three changes of structure or bytes, drawn from a seed.

What a mutant deserves is not known here: the oracle judges it.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from tests.examples import examples

AT_MS: Final = 1_300_000_000_000
MOST_BYTES: Final = 1_000_000
"""Well over what an order may have, well under what a topic takes."""
STAMP: Final = "2011-03-13T07:06:40.000Z"
_LINES: Final = [{"product_id": "85123A", "quantity": 6, "price": 2.55}, {"product_id": "71053", "quantity": 2, "price": 3.39}]
_CONTEXT: Final = {"channel": "mobile_app", "externalIds": [{"type": "email", "id": "A@example.org"}], "traits": {"email": "a@example.org"}}

VALID: Final[tuple[dict[str, Any], ...]] = (
    {"event": "Product Viewed", "properties": {"product_id": "85123A", "price": 2.55, "name": "Holder", "category": "home"}},
    {"event": "Product Added", "properties": {"product_id": "85123A", "price": 2.55, "quantity": 6, "currency": "GBP"}},
    {"event": "Order Completed", "properties": {"order_id": "536365", "total": 22.08, "currency": "GBP", "products": _LINES}},
    {"event": "Order Updated", "properties": {"order_id": "536365", "products": _LINES[:1]}},
    {"event": "Order Refunded", "properties": {"refund_id": "C1", "order_id": "536365", "products": _LINES[:1]}},
    {"event": "Order Cancelled", "properties": {"order_id": "536365"}},
    {"event": "Ticket Opened", "properties": {"ticket_id": "t1", "category": "delivery", "channel": "phone", "priority": "high"}},
    {"event": "Ticket Closed", "properties": {"ticket_id": "t1", "csat": 4, "resolution_time_s": 3600}},
    {"event": "Article Read", "properties": {"dwell_s": 12.5, "tags": ["a", "b"], "nested": {"deep": [1, {"x": None}]}}},
    {"type": "identify", "traits": {"email": "a@example.org", "phone": "+44 20 7946 0000", "plan": "gold"}},
    {"type": "group", "groupId": "acme", "context": {"groupType": "household"}, "traits": {"size": 3, "phone": "+44 20 7946 0000"}},
    {"type": "page", "context": _CONTEXT, "anonymousId": "a-1"},
    *({"event": name, "properties": properties} for name, properties in examples().items()),
)
_COMMON: Final = {"type": "track", "messageId": "m", "tenant": "demo", "userId": "17850.0", "timestamp": STAMP, "sentAt": STAMP}

ODD: Final[tuple[Any, ...]] = (
    None, True, False, 0, 1, -1, 0.0, -0.0, 1.0, 1.5, -0.01, 1e9, 1e9 + 1, 1e15, 1e308, 5e-324, 2**31, 2**53 + 1, 2**63 - 1,
    2**63, 2**64, 10**30, -(2**63), -(2**63) - 1, "", " ", "0", "null", "None", "undefined", "17850", "17850.0", "\u0661.0",
    "\u00b2.0", "\u0000", "a\u0000b", "|", "a|b|c", "\U0001f4a9", "\u202e", "\ufeff", "\u00df", "\u0130", "x" * 100, "x" * 101,
    "x" * 256, "x" * 257, "x" * 40_000, "GBP", "USD", "gbp", STAMP, "2011-03-13", "2011-03-13T07:06", "2011-03-13T07:06:40",
    "2011-03-13 07:06:40Z", "2011-03-13T07:06:40+01:00", "2011-03-13T24:00:00Z", "2011-03-13T07:06:60Z", "2031-03-13T07:06:40Z",
    "1999-12-31T23:59:59.999Z", "2000-01-01T00:00:00Z", "2011-03-13T07:11:40Z", "2011-03-13T07:11:40.001Z",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2011-03-06T07:06:39Z", "track", "page",
    "poke", "demo", "email", "phone", [], {}, [[]], [{}], [None], ["a"], {"a": 1}, {"": ""},
    "XTS", "Europe/London", "Mars/Base", [{"type": "email", "id": "b@example.org"}], [{"type": "email"}], [{"type": 1, "id": "x"}],
)  # fmt: skip
_NAMES: Final = (
    "timezone", "currency", "source", "properties", "traits", "context", "total", "price", "quantity", "order_id", "email", "", "__proto__",
    "a.b", "originalTimestamp", "groupId", "groupType", "phone", "first_name",
)  # fmt: skip
_STAMPS: Final = (
    "1999-12-31T23:59:59.999Z", "2000-01-01T00:00:00", "2031-03-13T07:06:40Z", "2011-03-13T07:11:41.000Z", "2011-03-13T07:06:40",
    "1970-01-01T00:00:00Z", "2011-03-13T07:06:40+14:00", "2010-10-31T01:30:00", "2010-03-28T01:30:00", "9999-12-31T23:59:59Z",
)  # fmt: skip
_SPLICES: Final = (b"", b"{", b"}", b"[", b"]", b'"', b",", b":", b"\\", b"\\ud800", b"\\u0000", b"\x00", b"\xff", b"\xc0\xaf", b"\xe2\x82",
                   b"NaN", b"1e400", b"-", b"00", b"9" * 400, b"[" * 70, b'{"a":' * 70, b"\n", b"/**/", b"'")  # fmt: skip


def mutants(seed: int, count: int) -> Iterator[bytes]:
    """Draw mutants.

    Args:
        seed: the same seed draws the same mutants.
        count: how many.
    """
    dice = random.Random(seed)
    number = 0
    while number < count:
        body: Any = json.loads(json.dumps(_COMMON | {"messageId": f"m{number}"} | dice.choice(VALID)))
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            body = dice.choice(_CHANGES)(body, dice)
        value = json.dumps(body, ensure_ascii=dice.random() < 0.5).encode()
        value = _splice(value, dice) if dice.random() < 0.3 else value
        if len(value) <= MOST_BYTES:
            number += 1
            yield value


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, part in inner:
        yield from _places(part, (*path, name))


def _parent(body: Any, path: tuple[Any, ...]) -> Any:
    for name in path[:-1]:
        body = body[name]
    return body


def _place(body: Any, dice: random.Random) -> tuple[Any, ...]:
    return dice.choice([path for path in _places(body) if path] or [()])


def _replace(body: Any, dice: random.Random) -> Any:
    path, odd = _place(body, dice), json.loads(json.dumps(dice.choice(ODD)))
    if not path:
        return odd
    _parent(body, path)[path[-1]] = odd
    return body


def _remove(body: Any, dice: random.Random) -> Any:
    path = _place(body, dice)
    if path:
        del _parent(body, path)[path[-1]]
    return body


def _wrap(body: Any, dice: random.Random) -> Any:
    path = _place(body, dice)
    if not path:
        return [body]
    parent = _parent(body, path)
    parent[path[-1]] = dice.choice(([parent[path[-1]]], {"value": parent[path[-1]]}, str(parent[path[-1]])))
    return body


def _repeat(body: Any, dice: random.Random) -> Any:
    """Many copies of the entries of a list, with the largest figures that a line may hold."""
    lists = [path for path in _places(body) if path and isinstance(_parent(body, path)[path[-1]], list)]
    if not lists:
        return body
    path = dice.choice(lists)
    entries = _parent(body, path)[path[-1]]
    if dice.random() < 0.5:
        entries = [entry | {"quantity": 1e6, "price": dice.choice((999.0, 1e9))} if isinstance(entry, dict) else entry for entry in entries]
    _parent(body, path)[path[-1]] = (entries * dice.choice((1, 2, 100, 2600)))[:6000]
    return body


def _add(body: Any, dice: random.Random) -> Any:
    objects = [path for path in _places(body) if isinstance(_parent(body, (*path, "")), dict)]
    if objects:
        name = dice.choice(_NAMES)
        _parent(body, (*dice.choice(objects), name))[name] = json.loads(json.dumps(dice.choice(ODD)))
    return body


def _restamp(body: Any, dice: random.Random) -> Any:
    """Other times, with and without a zone of their own."""
    if isinstance(body, dict):
        body[dice.choice(("timestamp", "timestamp", "originalTimestamp", "sentAt"))] = dice.choice(_STAMPS)
        if dice.random() < 0.3:
            body.pop("timestamp", None)
        if dice.random() < 0.3:
            body["context"] = {"timezone": dice.choice(("Europe/London", "America/New_York", "UTC", "Mars/Base"))}
    return body


def _exaggerate(body: Any, dice: random.Random) -> Any:
    """A figure or a text of the right type that cannot be meant."""
    fit = [path for path in _places(body) if "properties" in path and isinstance(_at(body, path), int | float | str)]
    if fit:
        path = dice.choice(fit)
        odd = ("XTS", "no", "+1", "") if isinstance(_at(body, path), str) else (-1, -0.01, 1e9 + 1, 1e12, 0, 10**7)
        _parent(body, path)[path[-1]] = dice.choice(odd)
    return body


def _at(body: Any, path: tuple[Any, ...]) -> Any:
    return _parent(body, path)[path[-1]] if path else body


def _splice(value: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(value) + 1)
    kept = value[at:] if dice.random() < 0.5 else value[at + dice.randrange(1, 4) :]
    return value[:at] + (dice.choice(_SPLICES) if dice.random() < 0.8 else b"") + (kept if dice.random() < 0.9 else b"")


_CHANGES: Final[tuple[Callable[[Any, random.Random], Any], ...]] = (
    _replace, _replace, _replace, _remove, _wrap, _repeat, _add, _restamp, _exaggerate,
)  # fmt: skip
