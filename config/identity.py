"""Identifiers: the types of `config/identity.yaml` and what must hold in it."""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, Any, Final

import msgspec
from phonenumbers import SUPPORTED_REGIONS

from schemas.documents import Mistake

NORMALISERS: Final = ("", "email", "phone")
"""How values of a namespace are read: as they are, as e-mail addresses, as telephone numbers (docs/identifiers.md)."""
EVERY: Final = "*"
_REMEMBERED, _LONGEST_REMEMBERED = 4_096, 64
"""Names are a stranger's: what is remembered of them is bounded, in number and length."""


def folded(name: str) -> str:
    """A field's name in the one spelling by which personal ones are known: `first_name`, `First-Name` and `firstName` are one."""
    return "".join(sign for sign in name.lower() if sign.isalnum())


class PersonalNames(dict[str, bool]):
    """Whether a name, in whatever spelling, is one of a personal field; remembers what it was asked.

    Args:
        names: those that are.
    """

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self._folded = frozenset(map(folded, names))

    def __missing__(self, name: str) -> bool:
        found = folded(name) in self._folded
        if len(name) <= _LONGEST_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[name] = found
        return found

    def cover(self, name: str, value: Any) -> bool:
        """Whether a field is personal: by its name, or by what its value has inside."""
        return self[name] or self.are_in(value)

    def are_in(self, value: Any) -> bool:
        """Whether a value has personal fields, at any depth."""
        if isinstance(value, dict):
            return any(self.cover(name, inner) for name, inner in value.items())
        return isinstance(value, list) and any(map(self.are_in, value))


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many identifiers of a namespace one person may have, and when one identifier is no person's (docs/identity.md).

    Attributes:
        most: at most so many in one profile; None: any number. With 1 the namespace is unique.
        days: only those count that were first seen within so many days; None: all of them.
        shared_after: an identifier belongs to nobody once so many others could not be joined with it; None: never.
    """

    most: Annotated[int, msgspec.Meta(ge=1)] | None = None
    days: Annotated[int, msgspec.Meta(ge=1, le=36_500)] | None = None
    shared_after: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class Namespace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A kind of identifier; the order in the file is the order of strength."""

    name: str
    pii: bool = False
    normalise: str = ""
    limits: Limits = Limits()


class GraphRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which identifiers may become one profile.

    Attributes:
        most_identifiers: in one profile.
        tenants: tenant -> namespace -> limits that replace the namespace's own.
    """

    most_identifiers: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 500
    tenants: dict[str, dict[str, Limits]] = {}


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
        graph: which identifiers may become one profile.
        groups: kinds of groups that `group` calls name, the usual one first.
        identifying_traits: trait of an `identify` call -> namespace of which it is an identifier.
    """

    namespaces: list[Namespace]
    customers: list[str]
    blocked_values: list[str]
    strip_float_suffix: list[str]
    pii_traits: list[str]
    pii_properties: list[str]
    blocked_patterns: dict[str, list[str]] = {}
    phone_region: PhoneRegion = PhoneRegion()
    graph: GraphRules = GraphRules()
    groups: list[str] = []
    identifying_traits: dict[str, str] = {}


def mistakes(identity: Identity, tenants: Collection[str], sources: Collection[str]) -> Iterator[Mistake]:
    """What is wrong with the rules.

    Args:
        identity: the rules.
        tenants: names there are.
        sources: names there are.
    """
    names = [namespace.name for namespace in identity.namespaces]
    for index, namespace in enumerate(identity.namespaces):
        if namespace.normalise not in NORMALISERS:
            known = ", ".join(filter(None, NORMALISERS))
            yield Mistake(("namespaces", index, "normalise"), f"unknown normaliser `{namespace.normalise}`", f"there are {known}")
    for trait, name in identity.identifying_traits.items():
        if name not in names:
            yield Mistake(("identifying_traits", trait), f"`{name}` is no namespace", f"there are {', '.join(names)}")
    for index, kind in enumerate(identity.groups):
        if kind in names:
            yield Mistake(("groups", index), f"`{kind}` is a namespace of people", "give the kind of group another name")
        elif not kind or "|" in kind or ":" in kind:
            yield Mistake(("groups", index), f"`{kind}` cannot be part of a key", "use letters, digits and _")
    for name, patterns in identity.blocked_patterns.items():
        if name not in (EVERY, *names):
            yield Mistake(("blocked_patterns", name), f"`{name}` is no namespace", f"there are {', '.join(names)} and {EVERY} for all")
        for index, pattern in enumerate(patterns):
            try:
                re.compile(pattern)
            except re.error as error:
                yield Mistake(("blocked_patterns", name, index), f"`{pattern}` is no regular expression: {error}")
    regions = identity.phone_region
    for kind, given, there in (("tenants", regions.tenants, tenants), ("sources", regions.sources, sources)):
        for name, region in given.items():
            if name not in there:
                yield Mistake(("phone_region", kind, name), f"`{name}` is not among the {kind}", f"there are {', '.join(there)}")
            if region not in SUPPORTED_REGIONS:
                yield Mistake(("phone_region", kind, name), f"`{region}` is no country", "write ISO 3166, e.g. GB, DE, CN")
    for tenant, limits in identity.graph.tenants.items():
        if tenant not in tenants:
            yield Mistake(("graph", "tenants", tenant), f"`{tenant}` is not among the tenants", f"there are {', '.join(tenants)}")
        for name in limits:
            if name not in names:
                yield Mistake(("graph", "tenants", tenant, name), f"`{name}` is no namespace", f"there are {', '.join(names)}")
