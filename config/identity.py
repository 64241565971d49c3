"""Identifiers: the types of `config/identity.yaml` and what must hold in it."""

import re
from collections.abc import Collection, Iterator
from typing import Final

import msgspec
from phonenumbers import SUPPORTED_REGIONS

NORMALISERS: Final = ("", "email", "phone")
"""How values of a namespace are read: as they are, as e-mail addresses, as telephone numbers (docs/identifiers.md)."""
EVERY: Final = "*"


class Namespace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of identifier; the order in the file is the order of strength."""

    name: str
    pii: bool = False
    normalise: str = ""


class PhoneRegion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Country (ISO 3166) of telephone numbers that are written without country code.

    Attributes:
        tenants: by tenant; look-ups use it too.
        sources: by source; before the tenant's.
    """

    tenants: dict[str, str] = {}
    sources: dict[str, str] = {}

    def of(self, tenant: str, source: str = "") -> str:
        """The country of a source's numbers; empty: a number without country code is refused."""
        return self.sources.get(source) or self.tenants.get(tenant, "")


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`identity.yaml`.

    Attributes:
        namespaces: from strongest to weakest.
        customers: namespaces whose identifiers make a profile a customer; others are a thing's (a browser, a device).
        blocked_values: placeholders, compared in lower case and without quotes and brackets around them.
        blocked_patterns: by namespace, or `*` for all of them: regular expressions of placeholders.
        strip_float_suffix: namespaces in which `17850.0` is 17850.
        pii_traits: personal fields of traits.
        pii_properties: personal fields of properties.
        phone_region: where telephone numbers without country code are at home.
    """

    namespaces: list[Namespace]
    customers: list[str]
    blocked_values: list[str]
    strip_float_suffix: list[str]
    pii_traits: list[str]
    pii_properties: list[str]
    blocked_patterns: dict[str, list[str]] = {}
    phone_region: PhoneRegion = PhoneRegion()


def problems(identity: Identity, tenants: Collection[str], sources: Collection[str]) -> Iterator[str]:
    """What is wrong with the rules, one sentence each.

    Args:
        identity: the rules.
        tenants: names there are.
        sources: names there are.
    """
    names = [namespace.name for namespace in identity.namespaces]
    for namespace in identity.namespaces:
        if namespace.normalise not in NORMALISERS:
            known = ", ".join(filter(None, NORMALISERS))
            yield f"namespace `{namespace.name}`: unknown normaliser `{namespace.normalise}`; there are {known}"
    for name, patterns in identity.blocked_patterns.items():
        if name not in (EVERY, *names):
            yield f"blocked_patterns: `{name}` is no namespace; there are {', '.join(names)} and {EVERY} for all"
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                yield f"blocked_patterns: `{pattern}` of `{name}` is no regular expression: {error}"
    for kind, regions, there in (("tenant", identity.phone_region.tenants, tenants), ("source", identity.phone_region.sources, sources)):
        for name, region in regions.items():
            if name not in there:
                yield f"phone_region: there is no {kind} `{name}`; there are {', '.join(there)}"
            if region not in SUPPORTED_REGIONS:
                yield f"phone_region: `{region}` of {kind} `{name}` is no country; write ISO 3166, e.g. GB, DE, CN"
