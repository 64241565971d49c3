"""What is judged: a group is one question (completeness of one field of one event), a slice is the part of the traffic it is asked of."""

from collections.abc import Iterable
from typing import Final, NamedTuple, get_args

from config.quality import Measure

MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)
DIMENSIONS: Final = ("origin", "source", "event", "region", "app_version", "platform", "channel")
"""Of two explanations that fit equally well, the one whose dimension stands first is given."""
OF_ALL_EVENTS: Final = frozenset({"uniqueness", "timeliness", "volume"})
"""Measures that are the same question for every event: there the event is a dimension, not part of the group."""

Slice = tuple[tuple[str, str], ...]
"""`(dimension, value)` pairs in the order of `DIMENSIONS`; empty: all traffic."""


class Group(NamedTuple):
    """One question.

    Attributes:
        tenant: whose data.
        measure: what is measured.
        event: name of the event; empty where the event is a dimension.
        field: field or rule; empty where the whole event is meant.
    """

    tenant: str
    measure: Measure
    event: str
    field: str


class SeriesKey(NamedTuple):
    """A group, asked of a slice."""

    group: Group
    slice: Slice


def slice_of(pairs: Iterable[tuple[str, str]]) -> Slice:
    """Pairs in the one order."""
    return tuple(sorted(pairs, key=lambda pair: DIMENSIONS.index(pair[0])))


def words(part: Slice) -> str:
    """A slice as people read it: `region=eu-3 and app_version=5.2`."""
    return " and ".join(f"{dimension}={value or '(unknown)'}" for dimension, value in part) or "all of it"
