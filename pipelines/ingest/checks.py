"""What is checked of a tracked event's properties (contract, plan, currency, totals), and what its node is told of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from config import loader
from config.loader import ConfigError, Platform, Rates, TrafficRule
from pipelines.ingest.currency import Exchange
from pipelines.ingest.hashing import fingerprint, hash64
from pipelines.ingest.traffic import Targets
from pipelines.wire import CancelFacts, Facts, OrderFacts, RefundFacts
from schemas import codes
from schemas.contracts import MAX_AMOUNT, AddsUp, Contract, load
from schemas.plans import CompiledPlan, Plan
from schemas.validators import Validator, Violation

TOTAL_FLAG: Final = "total_does_not_add_up"
_ROUNDING: Final = 1e-6


class Rules(NamedTuple):
    """What the configuration says of properties, tenant by tenant.

    Attributes:
        plans: tracking plans by name.
        plan_of_source: source -> name of its plan; before the tenant's.
        currencies: tenant -> rates.
        traffic: rules of traffic.
    """

    plans: Mapping[str, Plan] = {}
    plan_of_source: Mapping[str, str] = {}
    currencies: Mapping[str, Rates] = {}
    traffic: Sequence[TrafficRule] = ()

    @classmethod
    def configured(cls) -> "Rules":
        """As `config/` has them.

        Raises:
            ConfigError: a file is not as it should be.
        """
        planned = {name: source.plan for name, source in loader.sources().items() if source.plan}
        return cls(loader.plans(), planned, loader.currencies(), loader.traffic())


class Checked(NamedTuple):
    """What became of the properties.

    Attributes:
        properties: as they go on; the same object when nothing had to change.
        facts: what the order ledger has to know.
        flags: what was noticed and tolerated.
        key: business key, empty for none.
        content: hash of what the key stands for.
        target: what the event acts upon, see `Targets`.
    """

    properties: dict[str, Any]
    facts: Facts | None = None
    flags: list[str] = []  # noqa: RUF012 - never changed
    key: str = ""
    content: int = 0
    target: int = 0


class Checks:
    """Checks tracked events.

    Args:
        platform: tenants.
        rules: see there.

    Raises:
        ConfigError: a plan or tenant is named that is not there.
    """

    def __init__(self, platform: Platform, rules: Rules) -> None:
        contracts = load()
        self._validators = {name: Validator(contract) for name, contract in contracts.items()}
        self._targets = Targets(rules.traffic, contracts)
        self._units = {name: 10**tenant.minor_units for name, tenant in platform.tenants.items()}
        unknown = [name for name in rules.currencies if name not in platform.tenants]
        if unknown:
            raise ConfigError(f"currencies.yaml: `{unknown[0]}` is not a tenant of platform.yaml; there are {', '.join(platform.tenants)}")
        self._exchange = {
            name: Exchange(tenant.currency, tenant.minor_units, rules.currencies.get(name, {})) for name, tenant in platform.tenants.items()
        }
        compiled = {name: CompiledPlan(name, plan, contracts) for name, plan in rules.plans.items()}
        wanted = {tenant.plan for tenant in platform.tenants.values()} | set(rules.plan_of_source.values())
        missing = sorted(wanted - compiled.keys() - {""})
        if missing:
            raise ConfigError(f"no tracking plan `{missing[0]}` in config/plans; there are {', '.join(compiled) or 'none'}")
        self._plan_of_tenant = {name: compiled.get(tenant.plan) for name, tenant in platform.tenants.items()}
        self._plan_of_source = {name: compiled.get(plan) for name, plan in rules.plan_of_source.items()}

    def check(self, tenant: str, source: str, name: str, properties: dict[str, Any], at: int) -> Checked:
        """Check an event.

        Args:
            tenant: owner.
            source: name of the source, empty when unknown.
            name: of the event.
            properties: as parsed; never changed.
            at: event time, ms.

        Raises:
            Violation: paths begin at the envelope.
        """
        plan = self._plan_of_source.get(source) or self._plan_of_tenant[tenant]
        validator, flags = self._validators.get(name), list[str]()
        if plan is not None:
            validator = plan.validator(name) or validator
            properties, flags = plan.judge(name, properties)
        if validator is None:
            return Checked(properties, flags=flags, target=self._targets.of(name, properties))
        contract, exchange = validator.contract, self._exchange[tenant]
        typed = _checked(validator, properties, exchange.accepted)
        currency = getattr(typed, "currency", None)
        if currency is not None and currency != exchange.currency:
            properties = _converted(exchange, properties, contract, at)
            typed = _checked(validator, properties, exchange.accepted)
        if contract.adds_up is not None and not _adds_up(typed, contract.adds_up, self._units[tenant]):
            if plan is not None and plan.rejects_totals:
                rule = f"the sum of `{contract.adds_up.lines}` with what is added and taken off"
                raise Violation(codes.QUALITY_RULE, f".properties.{contract.adds_up.total}", rule)
            flags = [*flags, TOTAL_FLAG]
        facts = self._facts(contract, typed, tenant)
        key, content = _business(contract, typed, facts, properties, at)
        return Checked(properties, facts, flags, key, content, self._targets.of(name, properties))

    def _facts(self, contract: Contract, typed: Any, tenant: str) -> Facts | None:
        feeds = contract.feeds
        if not feeds:
            return None
        if feeds == "cancellation":
            return CancelFacts(typed.order_id)
        lines = [(line.product_id, int(line.quantity)) for line in typed.products]
        total = _total(typed, self._units[tenant])
        if feeds == "refund":
            return RefundFacts(typed.refund_id, total, lines, typed.order_id or "")
        return OrderFacts(typed.order_id, total, lines)


def _checked(validator: Validator, properties: dict[str, Any], currencies: Sequence[str]) -> Any:
    try:
        return validator.check(properties, currencies)
    except Violation as found:
        raise _below(found) from None


def _converted(exchange: Exchange, properties: dict[str, Any], contract: Contract, at: int) -> dict[str, Any]:
    try:
        return exchange.convert(properties, contract, at)
    except Violation as found:
        raise _below(found) from None


def _below(found: Violation) -> Violation:
    """What speaks of properties by their own paths, as seen from the envelope."""
    return Violation(found.code, ".properties" + found.path, found.rule)


def _business(contract: Contract, typed: Any, facts: Facts | None, properties: dict[str, Any], at: int) -> tuple[str, int]:
    """The same business key, content and event time are the same event, whoever tells it and under whatever message id."""
    if not contract.once:
        return "", 0
    key = "|".join([contract.name, *(getattr(typed, label) for label in contract.once)])
    if facts is not None:
        return key, hash64(repr((at, facts)).encode())
    return key, fingerprint((at, properties))


def _total(order: Any, units: int) -> int:
    """In minor units, half of one up: as given, else the sum of the lines, each rounded by itself."""
    if order.total is not None:
        return _minor(order.total, units)
    added = sum(_minor(line.price * line.quantity, units) for line in order.products)
    if added > MAX_AMOUNT * units:
        raise Violation(codes.QUALITY_RULE, ".properties.products", f"lines that add up to at most {MAX_AMOUNT:g}")
    return added


def _minor(amount: float, units: int) -> int:
    return math.floor(amount * units + 0.5)


def _adds_up(typed: Any, sums: AddsUp, units: int) -> bool:
    total = getattr(typed, sums.total)
    if total is None:
        return True
    lines = getattr(typed, sums.lines)
    expected = math.fsum(line.price * line.quantity for line in lines)
    expected += math.fsum(getattr(typed, label) or 0 for label in sums.plus) - math.fsum(getattr(typed, label) or 0 for label in sums.minus)
    pieces = math.fsum(line.quantity for line in lines)
    return bool(abs(total - expected) * units <= 0.5 * pieces + 1 + _ROUNDING)
