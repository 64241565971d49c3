"""One refresh of a tenant's cut points: read, compare, publish, poke, and see that it arrived."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from confluent_kafka import Message
from redis import Redis

from config.definitions import CutPoints, Definitions
from config.platform import Platform
from operations.controls import DEFINITIONS, Publisher
from operations.topics import Reader
from pipelines.audiences.rules import RuleBook, clock_fields
from pipelines.audiences.symbols import profile_symbols
from pipelines.history import cut_points
from pipelines.history.cut_points import Customer, Effect
from pipelines.history.views import profile_columns
from profile_store import layout
from schemas import json_text
from sinks.clickhouse import ClickHouse

BATCH: Final = 500
POKE_AGAIN_S: Final = 10.0
Tell = Callable[[str], None]


class Outcome(msgspec.Struct):
    """What a refresh found.

    Attributes:
        tenant: whose.
        customers: ids of customers with an order.
        guests: ids of other profiles with an order; they are judged by the cut points and have no say in them.
        old: cut points in force.
        new: cut points computed; their version is one more when they are to be published.
        reasons: what moved, in words; empty when nothing did.
        effect: what the new ones change.
    """

    tenant: str
    customers: list[str]
    guests: list[str]
    old: CutPoints
    new: CutPoints
    reasons: list[str]
    effect: Effect


def look(server: ClickHouse, platform: Platform, definitions: Definitions, tenant: str, tell: Tell) -> Outcome | None:
    """Compute a tenant's cut points and compare them with those in force; None for a tenant without orders."""
    tell(f"{tenant}: reading profiles")
    rules = RuleBook(definitions)
    found = customers(server, definitions, rules, tenant)
    if not found:
        return None
    old = in_force(platform.kafka.bootstrap, definitions).get(tenant, definitions.rfm.initial)
    new = cut_points.quantiles(found, definitions.rfm, old.version + 1)
    tell(f"{tenant}: comparing {len(found):,} customers")
    reasons = cut_points.moved(old, new, definitions.rfm.tolerance)
    named = [customer.profile_id for customer in found]
    return Outcome(tenant, named, guests(server, tenant), old, new, reasons, cut_points.effect(found, rules, old, new))


def customers(server: ClickHouse, definitions: Definitions, rules: RuleBook, tenant: str) -> list[Customer]:
    """Customers with an order, and the fields the rules read; what depends on the clock is reckoned for the tenant's newest log time.

    Who is a customer says `config/identity.yaml`: a guest's single order would drag every cut point of frequency down to one.
    """
    readable, symbols = profile_columns(definitions), profile_symbols(definitions.features)
    names = sorted(name for name in rules.reads | {definitions.rfm.recency, "orders_lifetime"} if name in readable)
    times = {name for name in names if symbols[name].kind == "time"}
    columns = [f"toUnixTimestamp64Milli({name}) AS {name}_ms" if name in times else name for name in names]
    query = f"""
        WITH (SELECT max(log_time) FROM events WHERE tenant = {{tenant:String}}) AS now
        SELECT profile_id, {", ".join(columns)}, toUnixTimestamp64Milli(now) AS now_ms, toUnixTimestamp64Milli(last_order_at) AS last_ms
        FROM customers WHERE tenant = {{tenant:String}} AND orders_lifetime > 0 AND last_order_at IS NOT NULL"""
    found = []
    for row in server.rows(query, {"tenant": tenant}):
        now = row["now_ms"]
        fields = {name: row[f"{name}_ms" if name in times else name] for name in names}
        clock = clock_fields(row["last_ms"], fields.get("mean_interpurchase_days"), now)
        found.append(Customer(row["profile_id"], {**fields, **clock}, now))
    return found


def guests(server: ClickHouse, tenant: str) -> list[str]:
    """Profiles with an order that are no customers."""
    query = """
        SELECT profile_id FROM profiles WHERE tenant = {tenant:String} AND orders_lifetime > 0
        AND profile_id NOT IN (SELECT profile_id FROM customers WHERE tenant = {tenant:String})"""
    return [str(row["profile_id"]) for row in server.rows(query, {"tenant": tenant})]


def in_force(bootstrap: str, definitions: Definitions) -> dict[str, CutPoints]:
    """The newest published cut points by tenant; tenants without one use the configured ones."""
    newest: dict[str, CutPoints] = {}

    def take(_topic: str, message: Message) -> None:
        value = message.value()
        try:
            found = cut_points.parse_definition(value) if value else None
        except (json_text.JsonTextError, msgspec.ValidationError):
            return  # job `profiles` has rejected it, see `cdp rejected list`
        if found and found[1].version > newest.get(found[0], definitions.rfm.initial).version:
            newest[found[0]] = found[1]

    reader = Reader(bootstrap, [DEFINITIONS], take)
    try:
        reader.read_on()
    finally:
        reader.close()
    return newest


def carry_out(publisher: Publisher, redis_url: str, outcome: Outcome, wait_s: float, tell: Tell) -> list[str]:
    """Publish an outcome and poke everybody with an order until all show it.

    A poke may overtake the definition on its way to the profile's operator, and then changes nothing: who has not changed is poked again.

    Args:
        publisher: where to.
        redis_url: profile store, to see the profiles change.
        outcome: from `look`.
        wait_s: how long to wait for the profiles; 0: poke once and do not look.
        tell: takes a line about what goes on.

    Returns:
        Profiles that have not changed by then; nothing is known of them when `wait_s` is 0.
    """
    tenant, version = outcome.tenant, outcome.new.version
    everybody = waiting = [
        *outcome.customers,
        *outcome.guests,
    ]  # also those whose scores stay: a profile says by which version it was judged
    publisher.publish(tenant, outcome.new)
    reason = f"cut points version {version}"
    until = time.monotonic() + wait_s
    redis: Any = Redis.from_url(redis_url, socket_timeout=30)
    poked_at = -POKE_AGAIN_S
    while waiting:
        if time.monotonic() - poked_at >= POKE_AGAIN_S:
            for first in range(0, len(waiting), 10 * BATCH):
                publisher.poke_profiles(tenant, waiting[first : first + 10 * BATCH], reason)
                tell(f"{tenant}: poked {min(first + 10 * BATCH, len(waiting)):,} of {len(waiting):,} profiles")
            poked_at = time.monotonic()
        if time.monotonic() > until:
            break
        time.sleep(0.5)
        waiting = _behind(redis, tenant, waiting, version)
        tell(f"{tenant}: {len(everybody) - len(waiting):,} of {len(everybody):,} profiles show version {version}")
    return waiting


def _behind(redis: Any, tenant: str, profile_ids: Sequence[str], version: int) -> list[str]:
    behind = []
    for first in range(0, len(profile_ids), BATCH):
        batch = profile_ids[first : first + BATCH]
        pipeline = redis.pipeline(transaction=False)
        for profile_id in batch:
            pipeline.hget(layout.profile_key(tenant, profile_id), "rfm_version")
        shown = pipeline.execute()
        behind += [
            profile_id for profile_id, value in zip(batch, shown, strict=True) if value is None or layout.decode_value(value) < version
        ]
    return behind
