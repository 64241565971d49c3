"""Amounts of other currencies in the tenant's own, by rates the tenant sets (config/currencies.yaml)."""

import bisect
import math
from collections.abc import Mapping
from typing import Any, Final

from config.loader import Rates
from pipelines.ingest.moments import to_ms_of_day
from schemas import codes
from schemas.contracts import Contract
from schemas.validators import Violation

UNIT_PRICE_DECIMALS: Final = 6
"""A unit price is multiplied by a quantity further on: rounding it to pence would be multiplied too."""


class Exchange:
    """Converts what a tenant's events are paid in.

    Args:
        currency: the tenant's.
        minor_units: decimals of that currency.
        rates: other currency -> day from which a rate holds -> what one unit is worth.
    """

    def __init__(self, currency: str, minor_units: int, rates: Rates) -> None:
        self.currency = currency
        self.accepted: Final = (currency, *sorted(rates))
        self._minor_units = minor_units
        self._rates = {name: sorted((to_ms_of_day(day), rate) for day, rate in by_day.items()) for name, by_day in rates.items()}

    def rate(self, currency: str, at: int) -> float:
        """What one unit was worth at a moment (ms).

        Raises:
            Violation: there is no rate for that day.
        """
        known = self._rates[currency]
        index = bisect.bisect_right(known, at, key=lambda entry: entry[0])
        if index == 0:
            raise Violation(
                codes.QUALITY_RULE, ".currency", f"a currency with a rate on the event's day (config/currencies.yaml: {currency})"
            )
        return known[index - 1][1]

    def convert(self, properties: Mapping[str, Any], contract: Contract, at: int, total: float | None = None) -> dict[str, Any]:
        """Properties with every amount in the tenant's currency: `floor(amount x rate x 10^d + 0.5) / 10^d`.

        d is the currency's decimals for amounts of the event and six for those of a line. What they were follows from `exchange_rate`.

        Args:
            properties: checked, with a `currency` other than the tenant's.
            contract: says which fields are money.
            at: event time, ms.
            total: of an order or refund, in its own currency: told, or what its lines make; None for other events.

        Returns:
            A copy, with `original_currency` and `exchange_rate`; of an order or refund also with `total` and `original_total`.

        Raises:
            Violation: see `rate`.
        """
        foreign = properties["currency"]
        rate = self.rate(foreign, at)
        converted = dict(properties)
        if total is not None:
            converted |= {"total": total, "original_total": total}
        for label, field in contract.fields.items():
            value = converted.get(label)
            if value is None:
                continue
            if field.type == "money":
                converted[label] = _rounded(value * rate, self._minor_units)
            elif field.type == "list":
                money = [inner for inner, of in contract.parts[field.items].items() if of.type == "money"]
                converted[label] = [_line(entry, money, rate) for entry in value]
        return converted | {"currency": self.currency, "original_currency": foreign, "exchange_rate": rate}


def _line(entry: Mapping[str, Any], money: list[str], rate: float) -> dict[str, Any]:
    changed = {label: _rounded(entry[label] * rate, UNIT_PRICE_DECIMALS) for label in money if entry.get(label) is not None}
    return {**entry, **changed}


def _rounded(amount: float, decimals: int) -> float:
    scale: int = 10**decimals
    return math.floor(amount * scale + 0.5) / scale
