"""What is checked of a tracked event's properties (contract, plan, currency, totals), and what its node is told of them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from config import loader
from config.loader import ConfigError, Rates
from config.platform import Platform
from config.traffic import TrafficRule
from pipelines.ingest.currency import Exchange
from pipelines.ingest.hashing import fingerprint, hash64
from pipelines.ingest.traffic import Targets
from pipelines.wire import CancelFacts, Facts, OrderFacts, RefundFacts
from schemas import codes
from schemas.contracts import MAX_AMOUNT, MAX_NAME, AddsUp, Contract, load
from schemas.currencies import decimals
from schemas.plans import CompiledPlan, Plan
from schemas.validators import Validator, Violation

TOTAL_FLAG: Final = "total_does_not_add_up"
CHARGE_BACK_FLAG: Final = "charge_back"
CHARGE_BACK: Final = "charge_back"
SUCCEEDED: Final = "succeeded"
ISSUER_SEPARATOR: Final = "\0"
"""Between issuer and number in the ledger's names of documents; it stands in no text that is let in."""
_ROUNDING: Final = 1e-6


class Rules(NamedTuple):
    """What the configuration says of properties, tenant by tenant.

    Attributes:
        plans: tracking plans by name.
        plan_of_source: source -> name of its plan; before the tenant's.
        currencies: tenant -> rates.
        traffic: rules of traffic.
        issuers: source -> whose numbers its orders, refunds, tickets and leads have, where that is not the tenant's own.
    """

    plans: Mapping[str, Plan] = {}
    plan_of_source: Mapping[str, str] = {}
    currencies: Mapping[str, Rates] = {}
    traffic: Sequence[TrafficRule] = ()
    issuers: Mapping[str, str] = {}

    @classmethod
    def configured(cls) -> "Rules":
        """As `config/` has them.

        Raises:
            ConfigError: a file is not as it should be.
        """
        sources = loader.sources()
        planned = {name: source.plan for name, source in sources.items() if source.plan}
        issuers = {name: source.issuer for name, source in sources.items() if source.issuer}
        return cls(loader.plans(), planned, loader.currencies(), loader.traffic(), issuers)


class Concerned(NamedTuple):
    """What an event is about.

    Attributes:
        object: kind, issuer and id, `order||536365`.
        issuer: whose number it is; empty: the tenant's.
        stage: where the object is then; empty when the event does not say.
    """

    object: str
    issuer: str
    stage: str


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
        self._contracts, self._issuers = contracts, rules.issuers
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

    def check(self, tenant: str, source: str, name: str, properties: dict[str, Any], at: int, order: tuple[str, str] = ("", "")) -> Checked:
        """Check an event.

        Args:
            tenant: owner.
            source: name of the source, empty when unknown.
            name: of the event.
            properties: as parsed; never changed.
            at: event time, ms.
            order: `origin_log` and `origin_order` of the event.

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
        properties = validator.read(properties)
        contract, exchange = validator.contract, self._exchange[tenant]
        typed = _checked(validator, properties, exchange.accepted)
        currency = getattr(typed, "currency", None)
        foreign = currency is not None and currency != exchange.currency
        units = 10 ** decimals(str(currency)) if foreign else self._units[tenant]
        if contract.adds_up is not None and contract.adds_up.checked and not _adds_up(typed, contract.adds_up, units):
            if plan is not None and plan.rejects_totals:
                rule = f"the sum of `{contract.adds_up.lines}` with what is added and taken off"
                raise Violation(codes.QUALITY_RULE, f".properties.{contract.adds_up.total}", rule)
            flags = [*flags, TOTAL_FLAG]
        told = _told(contract, typed, units)
        if foreign:
            properties = _converted(exchange, properties, contract, at, told)
            typed = _checked(validator, properties, exchange.accepted)
        facts = self._facts(contract, typed, tenant, currency or "", told, properties.get("exchange_rate", 0.0) if foreign else 0.0)
        if isinstance(facts, RefundFacts) and facts.counts and facts.charge_back:
            flags = [*flags, CHARGE_BACK_FLAG]
        key, content = _business(contract, typed, facts, properties, (at, *order))
        return Checked(properties, facts, flags, key, content, self._targets.of(name, properties))

    def concerned(self, source: str, name: str, properties: Mapping[str, Any]) -> Concerned | None:
        """The object that an event concerns, if it says which.

        Args:
            source: name of the source, empty when unknown.
            name: of the event.
            properties: as parsed.
        """
        contract = self._contracts.get(name)
        if contract is None:
            return None
        for kind, label in contract.object.items():
            value = properties.get(label)
            if isinstance(value, str) and 1 <= len(value) <= MAX_NAME:
                issuer = self._issuers.get(source, "")
                return Concerned(f"{kind}|{issuer}|{value}", issuer, contract.stage)
        return None

    def _facts(self, contract: Contract, typed: Any, tenant: str, currency: str, told: float | None, rate: float) -> Facts | None:
        if contract.feeds == "cancellation":
            return CancelFacts(typed.order_id)
        if told is None:
            return None
        lines = [(line.product_id, int(line.quantity)) for line in typed.products or ()]
        units = self._units[tenant]
        total = _minor(typed.total, units) if rate or typed.total is not None else _minor(told, units)
        if contract.feeds == "order":
            return OrderFacts(typed.order_id, total, lines, currency if rate else "", rate)
        counts = (getattr(typed, "status", None) or SUCCEEDED) == SUCCEEDED
        charge_back = getattr(typed, "kind", None) == CHARGE_BACK
        return RefundFacts(typed.refund_id, total, lines, typed.order_id or "", currency, told, counts, charge_back)


def issued(facts: Facts, issuer: str) -> Facts:
    """Facts whose documents are those of an issuer: the ledger tells them from those of others."""
    if not issuer:
        return facts
    named = {field: f"{issuer}{ISSUER_SEPARATOR}{number}" for field in ("order_id", "refund_id") if (number := getattr(facts, field, ""))}
    return msgspec.structs.replace(facts, **named)


def _checked(validator: Validator, properties: dict[str, Any], currencies: Sequence[str]) -> Any:
    try:
        return validator.check(properties, currencies)
    except Violation as found:
        raise _below(found) from None


def _converted(exchange: Exchange, properties: dict[str, Any], contract: Contract, at: int, told: float | None) -> dict[str, Any]:
    try:
        return exchange.convert(properties, contract, at, told)
    except Violation as found:
        raise _below(found) from None


def _below(found: Violation) -> Violation:
    """What speaks of properties by their own paths, as seen from the envelope."""
    return Violation(found.code, ".properties" + found.path, found.rule)


def _business(
    contract: Contract, typed: Any, facts: Facts | None, properties: dict[str, Any], when: tuple[int, str, str]
) -> tuple[str, int]:
    """The same business key, content, event time and place in the source's order are the same event, under whatever message id."""
    if not contract.once:
        return "", 0
    key = "|".join([contract.name, *(getattr(typed, label) for label in contract.once)])
    if facts is not None:
        return key, hash64(repr((when, facts)).encode())
    return key, fingerprint((when, properties))


def _told(contract: Contract, typed: Any, units: int) -> float | None:
    """The total of an order or refund in major units of its own currency; None for other events.

    As it is given, else the lines, each rounded by itself, with what is added and taken off.
    """
    if contract.feeds not in ("order", "refund"):
        return None
    if typed.total is not None:
        return float(typed.total)
    if not typed.products and contract.feeds == "refund":
        raise Violation(codes.SCHEMA_VIOLATION, ".properties.total", "a total, or the lines that make it")
    sums = contract.adds_up or AddsUp("total", "products")
    added = sum(_minor(line.price * line.quantity, units) for line in typed.products)
    added += sum(_minor(getattr(typed, label) or 0, units) for label in sums.plus)
    added = max(0, added - sum(_minor(getattr(typed, label) or 0, units) for label in sums.minus))
    if added > MAX_AMOUNT * units:
        raise Violation(codes.QUALITY_RULE, ".properties.products", f"lines that add up to at most {MAX_AMOUNT:g}")
    return added / units


def _minor(amount: float, units: int) -> int:
    return math.floor(amount * units + 0.5)


def _adds_up(typed: Any, sums: AddsUp, units: int) -> bool:
    total = getattr(typed, sums.total)
    if total is None:
        return True
    lines = getattr(typed, sums.lines) or ()
    expected = math.fsum(line.price * line.quantity for line in lines)
    expected += math.fsum(getattr(typed, label) or 0 for label in sums.plus) - math.fsum(getattr(typed, label) or 0 for label in sums.minus)
    pieces = math.fsum(line.quantity for line in lines)
    return bool(abs(total - expected) * units <= 0.5 * pieces + 1 + _ROUNDING)
