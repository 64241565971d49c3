"""Traffic that nobody meant: the types of `config/traffic.yaml`."""

from typing import Annotated

import msgspec


class TrafficRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule of `traffic.yaml`: what is caught is flagged by the rule's name.

    Two forms: a repetition (`same` and `within_ms`) or a burst (`more_than` and `within_s`).

    Attributes:
        name: flag.
        says: what it is about.
        events: names it watches.
        types: call types it watches.
        same: properties that make two events of one name the same act.
        within_ms: how close to the one before, by event time, a repetition is.
        more_than: events of one node in a stretch of `within_s` that still count.
        within_s: length of the stretches, seconds; they begin at multiples of it.
        exclude: keep what is caught out of the features; it stays in history in any case.
    """

    name: str
    says: str
    events: list[str] = []
    types: list[str] = []
    same: list[str] = []
    within_ms: Annotated[int, msgspec.Meta(ge=0)] = 0
    more_than: Annotated[int, msgspec.Meta(ge=0)] = 0
    within_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    exclude: bool = False
