"""`quality.yaml`: what good data is, and when to say that it is not. Checked against the event contracts when it is read."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Final, Literal

import msgspec

from config import loader
from config.topics import Topics
from schemas import contracts
from schemas.contracts import Contract
from schemas.documents import Mistake, Steps, meant

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
        holds: a rule (docs/rules.md) over the fields of the contract. Events that lack one of its fields are not judged.
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
        consistency: what must hold between fields of an event, and between sources.
        accuracy: see `AccuracyRule`.
        alerts: when to say something.
        delivery: to whom.
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
    document, loaded = loader.placed(FILE, Quality)
    loader.refuse(document, mistakes(loaded, contracts.load(), loader.sources(), loader.topics()))
    return loaded


def mistakes(loaded: Quality, known: Mapping[str, Contract], sources: Collection[str], topics: Topics) -> Iterator[Mistake]:
    """What is wrong with names: events, fields, sources, topics and dimensions that there are not.

    Args:
        loaded: of the right shape.
        known: contracts by event.
        sources: names of sources.
        topics: of topics.yaml.
    """
    for index, override in enumerate(loaded.overrides):
        yield from _named(("overrides", index, "origin"), "source", override.origin, sources)
        yield from _named(("overrides", index, "event"), "event", override.event, (*known, *CALLS))
    for event, fields in loaded.expected.items():
        yield from _named(("expected", event), "event", event, (*known, *CALLS))
        for index, field in enumerate(fields):
            yield from _field(("expected", event, index), event, field, known)
    yield from _paths(loaded)
    for index, pair in enumerate(loaded.pairs):
        for side, dimension in enumerate(pair):
            yield from _named(("pairs", index, side), "dimension", dimension, _PAIRED)
    for index, bar in enumerate(loaded.freshness):
        yield from _named(("freshness", index, "origin"), "source", bar.origin, sources)
        yield from _named(("freshness", index, "event"), "event", bar.event, (*known, *CALLS))
    names: set[str] = set()
    rules: list[tuple[str, int, WithinRule | BetweenRule]] = [
        *(("within", index, rule) for index, rule in enumerate(loaded.consistency.within)),
        *(("between", index, rule) for index, rule in enumerate(loaded.consistency.between)),
    ]
    for part, index, rule in rules:
        if rule.name in names:
            yield Mistake(("consistency", part, index, "name"), f"there is another rule of this name: `{rule.name}`")
        names.add(rule.name)
        yield from _named(("consistency", part, index, "event"), "event", rule.event, known if part == "within" else (*known, *CALLS))
    raw = topics.raw()
    for index, between in enumerate(loaded.consistency.between):
        at: Steps = ("consistency", "between", index)
        yield from _sides(at, {"told_by": between.told_by, "known_to": between.known_to}, sources, raw)
        yield from _field((*at, "key"), between.event, between.key, known)
        for number, field in enumerate(between.same):
            yield from _field((*at, "same", number), between.event, field, known)
    for index, accurate in enumerate(loaded.accuracy):
        at = ("accuracy", index)
        yield from _named((*at, "event"), "event", accurate.event, (*known, *CALLS))
        yield from _sides(at, {"of": accurate.of, "reference": accurate.reference}, sources, raw)
        yield from _field((*at, "key"), accurate.event, accurate.key, known)
        yield from _field((*at, "field"), accurate.event, accurate.field, known)
    yield from _named(("delivery", "kafka"), "topic", loaded.delivery.kafka, topics.topics)


def _paths(loaded: Quality) -> Iterator[Mistake]:
    """A place cannot be both a value and the beginning of another."""
    places = [(("dimensions", name, index), path) for name, paths in loaded.dimensions.items() for index, path in enumerate(paths)]
    for _, path in places:
        for at, other in places:
            if other.startswith(path + "."):
                yield Mistake(at, f"`{path}` is a value, `{other}` lies inside of it; only one of the two can be")


def _sides(at: Steps, sides: Mapping[str, Side], sources: Collection[str], raw: Collection[str]) -> Iterator[Mistake]:
    for name, side in sides.items():
        yield from _named((*at, name, "origin"), "source", side.origin, sources)
        yield from _named((*at, name, "source"), "raw topic", side.source, raw)
        if side == Side():
            yield Mistake((*at, name), "each side needs an `origin` (a source) or a `source` (a raw topic)")
    one, other = sides.values()
    if one == other and one != Side():
        yield Mistake(at, "a source cannot be compared with itself")


def _field(at: Steps, event: str, field: str, known: Mapping[str, Contract]) -> Iterator[Mistake]:
    if "." in field:
        try:
            msgspec.convert(field, Path)
        except msgspec.ValidationError:
            yield Mistake(at, f"`{field}` is no field; write `name`, or `traits.name`, `context.some.name`")
    elif event in known:
        yield from _named(at, "field", field, known[event].fields)


def _named(at: Steps, what: str, name: str, known: Iterable[str]) -> Iterator[Mistake]:
    """A name that there is not; an empty one says nothing."""
    names = list(known)
    if name and name not in names:
        yield Mistake(at, f"there is no {what} `{name}`", meant(name, names))
