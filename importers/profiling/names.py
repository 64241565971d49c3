"""What a field's name says: an identifier, money, a time, something personal. Words of English and German, as tables have them."""

import re
from collections.abc import Collection
from typing import Final

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_NUMBERED: Final = frozenset({"id", "no", "nr", "num", "number", "key", "code", "nummer", "ref"})
_NAMESPACES: Final[dict[str, tuple[frozenset[str], bool]]] = {
    # Words that name it, and whether a word such as `id` or `number` has to stand beside them.
    "user_id": (frozenset({"user", "customer", "client", "account", "buyer", "kunde", "kunden", "contact"}), True),
    "member_id": (frozenset({"member", "loyalty", "membership", "card"}), True),
    "phone": (frozenset({"phone", "telephone", "tel", "mobile", "cell", "cellphone", "msisdn", "telefon", "handy"}), False),
    "email": (frozenset({"email", "mail"}), False),
    "open_id": (frozenset({"openid", "unionid"}), False),
    "device_id": (frozenset({"device", "idfa", "gaid", "imei"}), True),
    "anonymous_id": (frozenset({"anonymous", "cookie", "visitor"}), True),
}
_JOINED: Final = {
    "userid": "user_id",
    "customerid": "user_id",
    "clientid": "user_id",
    "deviceid": "device_id",
    "anonymousid": "anonymous_id",
    "visitor": "anonymous_id",
    "idfa": "device_id",
    "gaid": "device_id",
}
_MONEY: Final = frozenset(
    {"price", "amount", "total", "subtotal", "cost", "revenue", "sum", "net", "gross", "discount", "tax", "fee", "betrag", "preis"}
)
_CURRENCY: Final = frozenset({"currency", "curr", "ccy", "waehrung"})
_PERSONAL: Final = frozenset(
    {
        "email", "mail", "phone", "telephone", "tel", "mobile", "telefon", "firstname", "lastname", "surname", "forename", "fullname",
        "birthday", "birth", "birthdate", "dob", "address", "street", "postcode", "zip", "ip", "iban", "passport", "ssn",
        "vorname", "nachname", "strasse", "message", "comment", "note", "notes",
    }
)  # fmt: skip
_OF_A_PERSON: Final = frozenset({"first", "last", "full", "middle", "customer", "user", "client", "contact", "person"})


def words(name: str) -> list[str]:
    """The words of a name in lower case: `CustomerID`, `customer_id` and `customer id` are the same."""
    return [word.lower() for word in _WORD.findall(name.replace("E-Mail", "EMail").replace("e-mail", "email").replace("EMail", "Email"))]


def normal(name: str) -> str:
    """A name as contracts write it, with `id` for number, key and the like at its end: `TicketNo` is `ticket_id`."""
    found = words(name.rpartition(".")[2])
    if len(found) > 1 and found[-1] in _NUMBERED:
        found[-1] = "id"
    return "_".join(found)


def namespace_of(name: str, known: Collection[str]) -> str:
    """The namespace of identifiers that a name speaks of; empty when none, or none that is known."""
    found = words(name.rpartition(".")[2])
    joined = _JOINED.get("".join(found), "")
    if joined in known:
        return joined
    for namespace, (named, needs_number) in _NAMESPACES.items():
        is_named = not named.isdisjoint(found)
        if namespace in known and is_named and (not needs_number or not _NUMBERED.isdisjoint(found)):
            return namespace
    return ""


def is_money(name: str) -> bool:
    """Whether a name speaks of money."""
    return not _MONEY.isdisjoint(words(name))


def is_currency(name: str) -> bool:
    """Whether a name speaks of a currency."""
    return not _CURRENCY.isdisjoint(words(name))


def is_key(name: str) -> bool:
    """Whether a name speaks of a key: its last word is `id`, `number` or the like."""
    found = words(name.rpartition(".")[2])
    return bool(found) and found[-1] in _NUMBERED


def is_personal(name: str) -> bool:
    """Whether a name speaks of something personal."""
    found = words(name.rpartition(".")[2])
    if "".join(found) in _PERSONAL or not _PERSONAL.isdisjoint(found):
        return True
    return "name" in found and (found == ["name"] or not _OF_A_PERSON.isdisjoint(found))
