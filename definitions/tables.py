"""Tenants, topics, sources, identity, currencies, traffic rules and tracking plans: names that must agree with each other."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from config.identity import Identity
from config.loader import Rates
from config.platform import Platform
from config.quality import CALLS
from config.sources import Source
from config.topics import Topics
from config.traffic import TrafficRule
from definitions.files import twice
from pipelines.history.tables import TABLES
from pipelines.ingest import traffic
from schemas.contracts import Contract, Field
from schemas.documents import Mistake, meant
from schemas.plans import Plan

CONTROL: Final = ("cdp.definitions", "cdp.pokes", "cdp.replays", "cdp.unmapped", "cdp.limits")
"""Topics of the platform besides those that become tables."""
_TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")


def of_platform(platform: Platform, plans: Collection[str]) -> Iterator[Mistake]:
    """Mistakes of `platform.yaml`."""
    if platform.default_tenant not in platform.tenants:
        yield Mistake(
            ("default_tenant",), f"there is no tenant `{platform.default_tenant}`", meant(platform.default_tenant, platform.tenants)
        )
    for name, tenant in platform.tenants.items():
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            yield Mistake(("tenants", name), f"`{name}` is no name for a tenant", "letters, digits, `.`, `_` and `-`")
        if tenant.plan and tenant.plan not in plans:
            yield Mistake(
                ("tenants", name, "plan"), f"there is no tracking plan `{tenant.plan}` in config/plans", meant(tenant.plan, plans)
            )


def of_topics(topics: Topics) -> Iterator[Mistake]:
    """Mistakes of `topics.yaml`."""
    for name, topic in topics.topics.items():
        if not _TOPIC.fullmatch(name):
            yield Mistake(("topics", name), f"`{name}` is no name for a topic", "letters, digits, `.`, `_` and `-`, at most 249")
        if topic.partitions < 0 or topic.replication < 0:
            yield Mistake(("topics", name), "partitions and replication cannot be negative")
    for name in (*TABLES, *CONTROL):
        if name not in topics.topics:
            near = meant(name, topics.topics)
            yield Mistake(
                ("topics",), f"the platform's own topic `{name}` is missing", near if near.startswith("did") else f"add {name}: {{}}"
            )
    if not topics.raw():
        yield Mistake(("topics",), "no topic is `raw: true`: job `profiles` would read nothing")


def of_sources(sources: Mapping[str, Source], plans: Collection[str]) -> Iterator[Mistake]:
    """What `config.sources.mistakes` leaves: plans."""
    for name, source in sources.items():
        if source.plan and source.plan not in plans:
            yield Mistake((name, "plan"), f"there is no tracking plan `{source.plan}` in config/plans", meant(source.plan, plans))


def of_identity(identity: Identity) -> Iterator[Mistake]:
    """Mistakes of `identity.yaml`."""
    names = [namespace.name for namespace in identity.namespaces]
    yield from twice([(("namespaces", index, "name"), name) for index, name in enumerate(names)], "namespace")
    if not names:
        yield Mistake(("namespaces",), "at least one namespace is needed")
    if not identity.customers:
        yield Mistake(("customers",), "without a namespace here nobody is a customer", "e.g. [user_id, email]")
    for index, name in enumerate(names):
        if not re.fullmatch(r"[A-Za-z0-9_]+", name):
            yield Mistake(("namespaces", index, "name"), f"`{name}` is no name for a namespace", "letters, digits and _")


def of_namespaces(names: Collection[str], said: Mapping[str, list[str]]) -> Iterator[Mistake]:
    """Lists of namespaces that name one there is not: list's key -> names."""
    for label, listed in said.items():
        for index, name in enumerate(listed):
            if name not in names:
                yield Mistake((label, index), f"there is no namespace `{name}`", meant(name, names))


def of_currencies(currencies: Mapping[str, Rates], tenants: Mapping[str, Any]) -> Iterator[Mistake]:
    """Mistakes of `currencies.yaml`."""
    for tenant, rates in currencies.items():
        if tenant not in tenants:
            yield Mistake((tenant,), f"there is no tenant `{tenant}`", meant(tenant, tenants))
        for currency, by_day in rates.items():
            if not _CURRENCY.fullmatch(currency):
                yield Mistake((tenant, currency), f"`{currency}` is no currency", "three capital letters, as ISO 4217 has them")
            elif tenant in tenants and currency == tenants[tenant].currency:
                yield Mistake((tenant, currency), f"{currency} is the tenant's own currency: it needs no rate", "take it out")
            for day, rate in by_day.items():
                if not rate > 0:
                    yield Mistake((tenant, currency, day), f"a rate must be above 0, not {rate}")


def of_traffic(rules: list[TrafficRule], events: Collection[str], contracts: Mapping[str, Contract]) -> Iterator[Mistake]:
    """Mistakes of `traffic.yaml`."""
    yield from twice([((index, "name"), rule.name) for index, rule in enumerate(rules)], "rule")
    for index, rule in enumerate(rules):
        for what in traffic.mistakes(rule, contracts):
            yield Mistake((index,), what)
        for number, event in enumerate(rule.events):
            if event not in events:
                yield Mistake((index, "events", number), f"there is no event `{event}`", meant(event, events))
        for number, call in enumerate(rule.types):
            if call not in CALLS:
                yield Mistake((index, "types", number), f"there is no call `{call}`", meant(call, CALLS))
        known = {label for event in rule.events if event in contracts for label in contracts[event].fields}
        for number, label in enumerate(rule.same):
            if known and label not in known:
                yield Mistake((index, "same", number), f"none of these events has a field `{label}`", meant(label, known))


def of_plan(plan: Plan, contracts: Mapping[str, Contract]) -> Iterator[Mistake]:
    """Mistakes of a tracking plan."""
    for event, planned in plan.events.items():
        own: Mapping[str, Field] = contracts[event].fields if event in contracts else {}
        if event not in contracts and not planned.properties:
            what = f"there is no event `{event}`, and the plan does not describe one"
            yield Mistake(("events", event), what, f"{meant(event, contracts)}; or say its `properties`")
        for label, field in planned.properties.items():
            at = ("events", event, "properties", label)
            if field.type == "list":
                yield Mistake(at, "lists belong into a contract (schemas/events)")
            if field.type == "choice" and not field.values:
                yield Mistake(at, "a choice needs `values`")
            if own.get(label, field).required and not field.required:
                yield Mistake(at, f"`{label}` is required by its contract; a plan can only ask for more", "required: true")
        known = {**own, **planned.properties}
        for index, label in enumerate(planned.required):
            if label not in known:
                what = f"requires `{label}`, which neither its contract nor the plan describes"
                yield Mistake(("events", event, "required", index), what, meant(label, known))
