"""Invented devices: every customer owns one or two, every invoice without a customer has its own."""

import hashlib
from functools import lru_cache
from typing import NamedTuple

from demo.dataset import Invoice
from demo.messages import SEED, dice


class Device(NamedTuple):
    """A browser or an app installation: what it calls its visitor, and the channel it belongs to."""

    anonymous_id: str
    channel: str


def _anonymous_id(owner: str, number: int) -> str:
    return "device-" + hashlib.blake2b(f"{SEED}|{owner}|{number}".encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=8192)
def of_customer(customer: str, country: str) -> tuple[Device, ...]:
    """The devices of a customer: a browser, and for half of those in the United Kingdom an app as well."""
    browser = Device(_anonymous_id(customer, 0), "web")
    if country == "United Kingdom" and dice("devices", customer).random() < 0.5:
        return browser, Device(_anonymous_id(customer, 1), "mobile_app")
    return (browser,)


def of_invoice(invoice: Invoice) -> Device:
    """The device an invoice was ordered with; one of its own when the customer is not known."""
    if not invoice.customer:
        return Device(f"guest-{invoice.number}", "web")
    return dice("device", invoice.number).choice(of_customer(invoice.customer, invoice.country))
