"""R, F and M cut points out of a tenant's own customers: quantiles, whether they moved, and whom a move concerns."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from config.definitions import CutPoints, Rfm
from pipelines.audiences.rules import RuleBook
from schemas import json_text

DECIMALS = 2


class Customer(msgspec.Struct):
    """A profile with at least one order: its id and the fields the rules read, as of `at` (ms), the same moment for all."""

    profile_id: str
    fields: dict[str, Any]
    at: int = 0


class Effect(msgspec.Struct):
    """What other cut points would change.

    Attributes:
        moved: profiles with another R, F or M score.
        before: segment -> customers under the old cut points.
        after: the same under the new ones.
        entering: segment -> customers who would come into it.
        leaving: segment -> customers who would go out of it.
    """

    moved: list[str]
    before: Counter[str]
    after: Counter[str]
    entering: Counter[str]
    leaving: Counter[str]


def quantiles(customers: Sequence[Customer], rfm: Rfm, version: int) -> CutPoints:
    """Cut points at the configured quantiles of recency, frequency and monetary value, interpolated linearly, rounded to two decimals.

    Args:
        customers: at least one.
        rfm: names of the fields, and the quantiles.
        version: to give them.
    """

    def of(name: str) -> list[float]:
        values = [value for customer in customers if (value := customer.fields.get(name)) is not None]
        cuts = np.quantile(np.array(values or [0.0], float), rfm.quantiles)
        return sorted(round(float(cut), DECIMALS) for cut in cuts)

    return CutPoints(version, of(rfm.recency), of(rfm.frequency), of(rfm.monetary))


def moved(old: CutPoints, new: CutPoints, tolerance: float) -> list[str]:
    """Cut points that differ by more than a share of the old value, in words.

    Args:
        old: in force.
        new: just computed.
        tolerance: relative; a cut point of 0 has moved as soon as it is another number.
    """
    found = []
    for name in ("recency", "frequency", "monetary"):
        for number, (before, after) in enumerate(zip(getattr(old, name), getattr(new, name), strict=True), 1):
            if abs(after - before) > tolerance * abs(before):
                found.append(f"{name} {number}: {before:g} -> {after:g}")
    return found


def effect(customers: Iterable[Customer], rules: RuleBook, old: CutPoints, new: CutPoints) -> Effect:
    """Judge every customer by both."""
    found = Effect([], Counter(), Counter(), Counter(), Counter())
    for customer in customers:
        before, after = (rules.judge(customer.fields, cuts, customer.at) for cuts in (old, new))
        found.before[before.segment] += 1
        found.after[after.segment] += 1
        if before.scores != after.scores:
            found.moved.append(customer.profile_id)
        if before.segment != after.segment:
            found.leaving[before.segment] += 1
            found.entering[after.segment] += 1
    return found


def definition(tenant: str, cuts: CutPoints) -> tuple[str, bytes]:
    """Key and value of the record in `cdp.definitions` that publishes cut points."""
    body: Mapping[str, Any] = msgspec.to_builtins(cuts)
    record = {"tenant": tenant, "kind": "cut_points", "version": cuts.version, "body": body}
    return f"{tenant}/cut_points", msgspec.json.encode(record)


class _Definition(msgspec.Struct):
    tenant: str
    kind: str
    version: int
    body: CutPoints


def parse_definition(value: bytes) -> tuple[str, CutPoints] | None:
    """Tenant and cut points of a record of `cdp.definitions`; None when it defines something else.

    Raises:
        msgspec.ValidationError: a record of this kind that has not its shape.
    """
    record = json_text.read_object(value)
    if record.get("kind") != "cut_points":
        return None
    found = msgspec.convert(record, _Definition)
    return found.tenant, found.body
