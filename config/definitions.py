"""What a profile holds: the types of `config/features.yaml`, `rfm.yaml`, `segments.yaml` and `tags.yaml`."""

from typing import Annotated, Literal

import msgspec

from config.traits import Traits

Positive = Annotated[int, msgspec.Meta(ge=1)]


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a series gets its entries from: event names, call types, or the order ledger (`orders`, `refunds`).

    Attributes:
        where: a rule over the event's properties, of events that count; empty: all do.
        of: name of the property whose values the entries have; empty: they have none.
    """

    events: list[str] = []
    types: list[str] = []
    ledger: Literal["", "orders", "refunds"] = ""
    where: str = ""
    of: str = ""


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A windowed feature: a measure (an aggregation, `pipelines.aggregations`) of a series, or the difference of two features.

    `minus` subtracts the first window from a longer one; `english` and `chinese` are what it is called in sentences.
    """

    name: str
    windows: list[str]
    series: str = ""
    measure: str = ""
    difference: list[str] = []
    minus: dict[str, str] = {}
    english: str = ""
    chinese: str = ""


class Features(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`features.yaml`."""

    windows: dict[str, Positive]
    tile_hop_min: dict[str, Positive]
    exact_entries: Positive
    session_gap_s: Positive
    refresh_s: Positive
    series: dict[str, Series]
    features: list[Feature]


class CutPoints(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Four ascending cut points for each of R (days), F (orders) and M (major units), with the version that scores name."""

    version: int
    recency: list[float]
    frequency: list[float]
    monetary: list[float]


class Rfm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`rfm.yaml`."""

    recency: str
    frequency: str
    monetary: str
    quantiles: list[float]
    tolerance: float
    initial: CutPoints


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A named condition of `tags.yaml` or `segments.yaml`."""

    name: str
    when: str
    says: str = ""


class Definitions(msgspec.Struct, frozen=True):
    """Everything that says what a profile holds; travels with a job's submission."""

    features: Features
    rfm: Rfm
    segments: list[Rule]
    tags: list[Rule]
    traits: Traits = Traits()
