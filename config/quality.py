"""`quality.yaml`: what good data is, and when to say that it is not. Checked against the event contracts when it is read."""

import difflib
from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

from config import loader
from config.loader import ConfigError
from schemas import contracts
from schemas.contracts import Contract

FILE: Final = "quality.yaml"
CALLS: Final = ("identify", "page", "screen", "group", "alias")
"""Calls other than `track`: their name is their type, and they have no contract."""
DIMENSIONS: Final = ("region", "app_version", "platform")
"""Dimensions that are read out of an event; `origin`, `source`, `event` and `channel` are columns."""
_PAIRED: Final = ("origin", "source", "event", *DIMENSIONS, "channel")

Measure = Literal["completeness", "validity", "accuracy", "consistency", "uniqueness", "timeliness", "volume"]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{1,64}$")]
Path = Annotated[str, msgspec.Meta(pattern=r"^(properties|traits|context)(\.[A-Za-z0-9_]{1,64}){1,4}$")]
Positive = Annotated[float, msgspec.Meta(gt=0)]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=1440)]


class Override(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another goal for a part: what is left empty holds for all. The last that fits counts; no `goal`: none at all."""

    measure: Measure
    goal: Percent | None = None
    origin: str = ""
    event: str = ""
    field: str = ""


class Freshness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many seconds after it happened an event has to be in the log. The last that fits counts; 0: not measured."""

    seconds: Annotated[float, msgspec.Meta(ge=0)]
    origin: str = ""
    event: str = ""


class WithinRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must hold between the fields of one event.

    Attributes:
        name: of the rule.
        event: of which event.
        holds: an expression, see `pipelines.quality.expressions`. Events that lack one of its fields are not judged.
        unless: fields whose presence makes the rule void, e.g. a coupon.
    """

    name: Name
    event: str
    holds: str
    unless: list[str] = []


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party of a comparison: events of a source (`origin`), of a raw topic (`source`), or both."""

    origin: str = ""
    source: str = ""


class BetweenRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What must hold between two sources: what one has told, the other has to tell as well.

    Attributes:
        name: of the rule.
        event: of which event.
        told_by: the source whose events are judged.
        known_to: the source that has to have them too.
        key: field by which they are recognised.
        same: fields that have to be equal.
        tolerance: by how much numbers may differ.
        within_minutes: how long the other may take, of log time.
    """

    name: Name
    event: str
    told_by: Side
    known_to: Side
    key: Name
    same: list[Name] = []
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    within_minutes: Minutes = 15


class AccuracyRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field that has to agree with a reference. Events whose key the reference does not know in time are not judged.

    Attributes:
        event: of which event.
        field: what is compared.
        of: the source whose events are judged.
        reference: the source that is right.
        key: field by which they are recognised.
        tolerance: by how much numbers may differ.
        within_minutes: how long the reference may take, of log time.
    """

    event: str
    field: Name
    of: Side
    reference: Side
    key: Name
    tolerance: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    within_minutes: Minutes = 60


class Consistency(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rules within one event and between sources."""

    within: list[WithinRule] = []
    between: list[BetweenRule] = []


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts are posted as JSON.

    Attributes:
        url: whole address.
        attempts: how often one change of an alert is tried before it is kept as undelivered.
        timeout_s: patience with one attempt.
        pause_s: before the second attempt; doubles each time.
    """

    url: str
    attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = 6
    timeout_s: Positive = 3.0
    pause_s: Positive = 5.0


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where alerts go. `log`: the job's own log. `kafka`: a topic of topics.yaml, empty for none."""

    log: bool = True
    kafka: str = ""
    webhooks: dict[Name, Webhook] = {}


class AlertRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an alert opens, is renewed and closes.

    Attributes:
        false_alarms_per_week: how many alarms chance may raise over all series together.
        drop_points: a share that falls by fewer percentage points is no sudden drop.
        volume_drop: likewise, per cent of the events.
        sustained_minutes: so long a goal must be missed.
        update_minutes: an open alert is renewed at most this often, unless its cause changes.
        forget_hours: after so long a drop is the new level.
        judge_within_hours: minutes that are measured later than this after they passed raise no alerts: replays, long outages.
    """

    false_alarms_per_week: Positive = 0.1
    drop_points: Percent = 5.0
    volume_drop: Percent = 40.0
    sustained_minutes: Annotated[int, msgspec.Meta(ge=1, le=15)] = 5
    update_minutes: Annotated[int, msgspec.Meta(ge=1)] = 10
    forget_hours: Annotated[int, msgspec.Meta(ge=1)] = 24
    judge_within_hours: Positive = 24.0


class Quality(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`quality.yaml`.

    Attributes:
        goals: measure -> per cent that must pass; a measure that is not named has no goal.
        overrides: other goals for parts.
        expected: event -> fields that a complete one has, beyond those its contract requires.
        dimensions: dimension -> where in an event it stands; the first place that has something counts.
        values_per_dimension: the most frequent so many values of a dimension are kept apart, the rest is `(other)`.
        pairs: pairs of dimensions that are watched for drops (causes are looked for in all pairs).
        freshness: how fast events have to be in the log.
        visible_within_s: how fast they have to be in ClickHouse after that.
        consistency: see there.
        accuracy: see `AccuracyRule`.
        alerts: see there.
        delivery: see there.
        keep_days: how long the minutes are kept, from their computation on.
        catch_up_days: how far back a job begins that has never run.
        grace_s: seconds after the log has passed a minute in which its rows may still be on their way.
    """

    goals: dict[Measure, Percent]
    overrides: list[Override] = []
    expected: dict[str, list[str]] = {}
    dimensions: dict[Literal["region", "app_version", "platform"], list[Path]] = {}
    values_per_dimension: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    pairs: list[tuple[str, str]] = []
    freshness: list[Freshness] = []
    visible_within_s: Positive = 30.0
    consistency: Consistency = msgspec.field(default_factory=Consistency)
    accuracy: list[AccuracyRule] = []
    alerts: AlertRules = msgspec.field(default_factory=AlertRules)
    delivery: Delivery = msgspec.field(default_factory=Delivery)
    keep_days: Annotated[int, msgspec.Meta(ge=8)] = 30
    catch_up_days: Annotated[int, msgspec.Meta(ge=1)] = 8
    grace_s: Annotated[float, msgspec.Meta(ge=0)] = 4.0

    def goal(self, measure: str, origin: str, event: str, field: str) -> float | None:
        """The goal of one question at one source, in per cent; None when there is none."""
        found = self.goals.get(measure)  # type: ignore[call-overload]
        for one in self.overrides:
            fits = one.origin in ("", origin) and one.event in ("", event) and one.field in ("", field)
            if one.measure == measure and fits:
                found = one.goal
        return None if found is None else float(found)


def quality() -> Quality:
    """Read `quality.yaml` and check it against the contracts.

    Raises:
        ConfigError: the file is missing, has the wrong shape, or names an event, a field or a dimension that there is not.
    """
    loaded = loader.read(FILE, Quality)
    check(loaded, contracts.load(), loader.sources())
    return loaded


def check(loaded: Quality, known: dict[str, Contract], sources: Iterable[str]) -> None:
    """Check names against contracts and sources.

    Raises:
        ConfigError: see `quality`.
    """
    for number, override in enumerate(loaded.overrides):
        _origin(f"overrides[{number}]", override.origin, sources)
        if override.event:
            _event(f"overrides[{number}]", override.event, known)
    for event, fields in loaded.expected.items():
        _event("expected", event, known)
        for field in fields:
            _field(f"expected: {event}", event, field, known)
    _paths(loaded)
    for pair in loaded.pairs:
        for dimension in pair:
            _one_of("pairs", "dimension", dimension, _PAIRED)
    for number, bar in enumerate(loaded.freshness):
        _origin(f"freshness[{number}]", bar.origin, sources)
        if bar.event:
            _event(f"freshness[{number}]", bar.event, known)
    names: set[str] = set()
    rules: list[WithinRule | BetweenRule] = [*loaded.consistency.within, *loaded.consistency.between]
    for rule in rules:
        where = f"consistency: {rule.name}"
        if rule.name in names:
            raise _error(where, "there is another rule of this name")
        names.add(rule.name)
        _event(where, rule.event, known)
    for between in loaded.consistency.between:
        where = f"consistency: {between.name}"
        _sides(where, between.told_by, between.known_to, sources)
        for field in (between.key, *between.same):
            _field(where, between.event, field, known)
    for accurate in loaded.accuracy:
        where = f"accuracy: {accurate.event}.{accurate.field}"
        _event(where, accurate.event, known)
        _sides(where, accurate.of, accurate.reference, sources)
        for field in (accurate.key, accurate.field):
            _field(where, accurate.event, field, known)


def _paths(loaded: Quality) -> None:
    """A place cannot be both a value and the beginning of another."""
    places = [path for paths in loaded.dimensions.values() for path in paths]
    for path in places:
        for other in places:
            if other.startswith(path + "."):
                raise _error("dimensions", f"`{path}` is a value, `{other}` lies inside of it; only one of the two can be")


def _origin(where: str, origin: str, sources: Iterable[str]) -> None:
    if origin:
        _one_of(where, "source", origin, sources)


def _sides(where: str, one: Side, other: Side, sources: Iterable[str]) -> None:
    for side in (one, other):
        _origin(where, side.origin, sources)
        if side.source:
            _one_of(where, "raw topic", side.source, loader.topics().raw())
    if one == Side() or other == Side():
        raise _error(where, "each side needs an `origin` (a source) or a `source` (a raw topic)")
    if one == other:
        raise _error(where, "a source cannot be compared with itself")


def _event(where: str, event: str, known: dict[str, Contract]) -> None:
    _one_of(where, "event", event, (*known, *CALLS))


def _field(where: str, event: str, field: str, known: dict[str, Contract]) -> None:
    if "." in field:
        try:
            msgspec.convert(field, Path)
        except msgspec.ValidationError:
            raise _error(where, f"`{field}` is no field; write `name`, or `traits.name`, `context.some.name`") from None
    elif event in known:
        _one_of(where, "field", field, known[event].fields)


def _one_of(where: str, what: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        raise _error(where, f"there is no {what} `{name}`" + (f"; did you mean `{near[0]}`?" if near else ""))


def _error(where: str, what: str) -> ConfigError:
    return ConfigError(f"{loader.folder() / FILE}: {where}: {what}")
