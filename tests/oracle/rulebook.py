"""The configuration, read as plain data."""

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.oracle.shapes import Contracts, Money

CONTRACTS = Path(__file__).parents[2] / "schemas" / "events"
Pseudonym = Callable[[str, str, str], str]
"""From tenant, namespace and normalised value of a personal identifier to what stands for it in node keys."""


class CutPoints(NamedTuple):
    """Four ascending cut points each; what the tenant's scores are computed with."""

    version: int
    recency: tuple[float, ...]
    frequency: tuple[float, ...]
    monetary: tuple[float, ...]

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> "CutPoints":
        """From the mapping of `rfm.yaml` or of a definition."""
        return cls(int(written["version"]), tuple(written["recency"]), tuple(written["frequency"]), tuple(written["monetary"]))


def _no_pseudonym(tenant: str, namespace: str, value: str) -> str:
    raise NotImplementedError(
        f"an identifier of namespace {namespace}: its HMAC key is not written in the docs, give the oracle a `pseudonym`"
    )


class Rulebook(NamedTuple):
    """Everything the docs leave to configuration."""

    default_tenant: str
    money: dict[str, Money]
    limits: dict[str, int]
    namespaces: list[dict[str, Any]]
    blocked: frozenset[str]
    strip_float_suffix: frozenset[str]
    blocked_patterns: dict[str, list[str]]
    phone_region: dict[str, dict[str, str]]
    issuers: dict[str, str]
    windows_ms: dict[str, int]
    hops_ms: dict[str, int]
    exact_entries: int
    session_gap_ms: int
    series: dict[str, dict[str, Any]]
    features: list[dict[str, Any]]
    segments: list[dict[str, str]]
    tags: list[dict[str, str]]
    cut_points: CutPoints
    pseudonym: Pseudonym
    contracts: Contracts
    traffic: list[dict[str, Any]]
    groups: list[str]
    pii_traits: list[str]
    pii_properties: list[str]
    traits: dict[str, Any]
    identifying_traits: dict[str, str]

    def trait_rule(self, tenant: str, name: str) -> dict[str, Any]:
        """How a trait's value is chosen."""
        own: dict[str, dict[str, Any]] = self.traits.get("tenants", {}).get(tenant, {})
        listed: dict[str, dict[str, Any]] = self.traits.get("traits", {})
        rule: dict[str, Any] = own.get(name) or listed.get(name) or self.traits.get("default", {})
        return {"survivorship": ["newest"], **rule}

    def lists_trait(self, tenant: str, name: str) -> bool:
        """Whether a trait has a rule of its own."""
        return name in self.traits.get("traits", {}) or name in self.traits.get("tenants", {}).get(tenant, {})

    @classmethod
    def read(cls, folder: Path, pseudonym: Pseudonym = _no_pseudonym) -> "Rulebook":
        """Read `config/*.yaml`.

        Args:
            folder: where the files are.
            pseudonym: stands in for the HMAC of personal identifiers.
        """

        def load(name: str) -> Any:
            return yaml.safe_load((folder / name).read_text())

        platform, identity, features = load("platform.yaml"), load("identity.yaml"), load("features.yaml")
        return cls(
            default_tenant=platform["default_tenant"],
            money={
                name: Money(tenant["currency"], _rates(load("currencies.yaml").get(name, {})), tenant.get("minor_units", 2))
                for name, tenant in platform["tenants"].items()
            },
            limits=platform["limits"],
            namespaces=identity["namespaces"],
            blocked=frozenset(str(value).lower() for value in identity["blocked_values"]),
            strip_float_suffix=frozenset(identity["strip_float_suffix"]),
            blocked_patterns=identity.get("blocked_patterns", {}),
            phone_region={kind: identity.get("phone_region", {}).get(kind, {}) for kind in ("tenants", "sources")},
            issuers={name: source.get("issuer") or "" for name, source in load("sources.yaml").items()},
            windows_ms={name: seconds * 1000 for name, seconds in features["windows"].items()},
            hops_ms={name: minutes * 60_000 for name, minutes in features["tile_hop_min"].items()},
            exact_entries=features["exact_entries"],
            session_gap_ms=features["session_gap_s"] * 1000,
            series=features["series"],
            features=features["features"],
            segments=load("segments.yaml"),
            tags=load("tags.yaml"),
            cut_points=CutPoints.of(load("rfm.yaml")["initial"]),
            pseudonym=pseudonym,
            contracts=Contracts(CONTRACTS),
            traffic=load("traffic.yaml"),
            groups=identity.get("groups", []),
            pii_traits=identity["pii_traits"],
            pii_properties=identity["pii_properties"],
            traits=load("traits.yaml"),
            identifying_traits=identity.get("identifying_traits", {}),
        )


def _rates(written: dict[str, dict[dt.date, float]]) -> dict[str, dict[int, float]]:
    midnight = dt.datetime.min.time()
    return {
        currency: {int(dt.datetime.combine(day, midnight, dt.UTC).timestamp() * 1000): rate for day, rate in by_day.items()}
        for currency, by_day in written.items()
    }
