"""What a profile shows of its values: each field once, as a value that rules read and as a piece of the snapshot's JSON.

Most of a snapshot is the same as in thousands of others: a customer without tickets shows seven zeros for them. So fields that are made of
the same numbers are written together, and what was written is remembered by those numbers: to make 70 fields anew for each event, and JSON
of them, took two thirds of a profile's time.
"""

from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import msgspec
import orjson

from pipelines.aggregations.registry import ALL
from pipelines.audiences.rules import DAY_MS, clock_fields
from pipelines.features.layout import (
    BASE,
    CHANNEL,
    CHANNEL_NAMES,
    CHARGE_BACKS,
    FIRST_ORDER,
    FIRST_SEEN,
    LAST_ORDER,
    LAST_SEEN,
    LATE,
    MEMBERS,
    OVER_REFUNDS,
    SESSIONS,
    UNKNOWN,
    UNMATCHED,
    Layout,
)
from pipelines.features.plan import NUMBERS, Published
from pipelines.identity.nodes import split
from pipelines.wire import Value

TOP_SHOWN: Final = 5
REMEMBERED: Final = 4096
"""Pieces of text of each kind that are kept: with a dozen kinds some 15 MB."""
_CHANNELS_END: Final = CHANNEL + len(CHANNEL_NAMES)
_ORDER_COUNT, _ORDER_AMOUNT = "orders.count.lifetime", "orders.amount.lifetime"
Numbers = Sequence[int]
Others = Mapping[str, Value]


class _Field(msgspec.Struct, frozen=True):
    """A field.

    Attributes:
        name: of the field.
        value: makes it of numbers by the layout and of other values.
        places: of the numbers that it is made of, ascending.
        other: name of the other value that it is made of; empty: of none.
    """

    name: str
    value: Callable[[Numbers, Others], Any]
    places: tuple[int, ...]
    other: str = ""


class _Group:
    """Fields that are made of the same numbers, or of the same other value, and what was written of them.

    Attributes:
        fields: which.
        bytes: of the row that the numbers lie in.
        and_bytes: likewise, where they lie in two places: then it `is_apart`.
        other: name of the other value; empty: none.
        written: piece of JSON by those bytes.
        without: what is written while there is no such other value.
    """

    __slots__ = ("and_bytes", "bytes", "fields", "is_apart", "other", "without", "written")

    def __init__(self, fields: list[_Field], ranges: list[tuple[int, int]], other: str) -> None:
        self.fields, self.other = fields, other
        assert len(ranges) <= 2, fields
        first, *more = [slice(8 * begin, 8 * end) for begin, end in ranges or [(0, 0)]]
        self.bytes, self.and_bytes, self.is_apart = first, more[0] if more else slice(0, 0), bool(more)
        self.written: dict[bytes, str] = {}
        self.without = self.write((), {}) if other else ""

    def write(self, numbers: Numbers, others: Others) -> str:
        """Their piece of JSON."""
        return piece({field.name: field.value(numbers, others) for field in self.fields})


class Fields:
    """Turns a profile's values into published fields.

    Args:
        published: windowed fields.
        layout: of its numbers.
        scale: minor units in a major one, e.g. 100.
        read: names of the fields that rules read.
    """

    def __init__(self, published: Sequence[Published], layout: Layout, scale: int, read: Collection[str]) -> None:
        every = [*_of_platform(layout, scale), *(_windowed(field, field.units(scale), layout.places) for field in published)]
        self._mean = next(field.value for field in every if field.name == _MEAN)
        self._read = [(field.name, field.value) for field in every if field.name in read]
        groups = _grouped([field for field in every if field.name not in _SEEN], layout)
        self._groups, self._of_others = [one for one in groups if not one.other], [one for one in groups if one.other]
        self._without_others = [group.without for group in self._of_others]
        self._asked: dict[frozenset[str], list[tuple[str, Callable[[Numbers, Others], Any]]]] = {}
        self._of_place = [tuple(field.name for field in every if place in field.places) for place in range(len(layout.names))]
        self._of_other = {field.other: tuple(one.name for one in every if one.other == field.other) for field in every if field.other}
        self._touched: dict[tuple[int | str, ...], dict[str, None]] = {}

    def touched(self, places: Sequence[int], names: Sequence[str]) -> dict[str, None]:
        """Names of the fields that may change with numbers in some places and other values of some names; not to be changed."""
        asked: tuple[int | str, ...] = (*places, *names)
        found = self._touched.get(asked)
        if found is None:
            found = dict.fromkeys(field for place in places for field in self._of_place[place])
            found |= dict.fromkeys(field for name in names for field in self._of_other.get(name, (name,)))
            if len(self._touched) >= REMEMBERED:
                self._touched.clear()
            self._touched[asked] = found
        return found

    def read(self, numbers: Numbers, others: Others, now: int, names: frozenset[str] | None = None) -> dict[str, Any]:
        """The fields that rules read, but scores and segment.

        Args:
            numbers: by the layout.
            others: values that are no numbers.
            now: moment for which fields that move with the clock shall be true, ms.
            names: of those that are asked for; None: all.
        """
        asked = self._read
        if names is not None:
            known = self._asked.get(names)
            asked = self._asked[names] = [one for one in self._read if one[0] in names] if known is None else known
        fields = {name: value(numbers, others) for name, value in asked}
        fields.update(self._clock(numbers, now))
        return fields

    def write_others(self, others: Others) -> list[str]:
        """Fields that are made of values that are no numbers, as pieces of a JSON object."""
        if not others:
            return self._without_others
        return [group.write((), others) if group.other in others else group.without for group in self._of_others]

    def write(self, numbers: Numbers, now: int) -> list[str]:
        """Fields that are made of numbers, likewise; see `read`."""
        try:
            row = (numbers if isinstance(numbers, array) else array("q", numbers)).tobytes()
        except OverflowError:  # a sum over nodes beyond 64 bits
            row = b""
        pieces = []
        for group in self._groups:
            key = row[group.bytes] + row[group.and_bytes] if group.is_apart else row[group.bytes]
            known = group.written.get(key)
            if known is None or not row:
                known = group.write(numbers, _NONE)
                if len(group.written) >= REMEMBERED:
                    group.written.clear()
                group.written[key] = known
            pieces.append(known)
        first, last = numbers[FIRST_SEEN], numbers[LAST_SEEN]
        pieces.append(f'"first_seen_at":{"null" if first == UNKNOWN else first},"last_seen_at":{"null" if last == UNKNOWN else last}')
        pieces.append(_NO_CLOCK if numbers[LAST_ORDER] == UNKNOWN else piece(self._clock(numbers, now)))
        return pieces

    def _clock(self, numbers: Numbers, now: int) -> dict[str, float | None]:
        last = numbers[LAST_ORDER]
        return NO_CLOCK if last == UNKNOWN else clock_fields(last, self._mean(numbers, _NONE), now)


def _plain(place: int) -> Callable[[Numbers, Others], Any]:
    def value(numbers: Numbers, _others: Others) -> int | None:
        found = numbers[place]
        return None if found == UNKNOWN else found

    return value


def _amount(place: int, units: int) -> Callable[[Numbers, Others], Any]:
    def value(numbers: Numbers, _others: Others) -> float | None:
        found = numbers[place]
        return None if found == UNKNOWN else found / units

    return value


def _difference(plus: int, minus: int, units: int) -> Callable[[Numbers, Others], Any]:
    def value(numbers: Numbers, _others: Others) -> float | None:
        more, less = numbers[plus], numbers[minus]
        if UNKNOWN in (more, less):
            return None
        return (more - less) / units if units else more - less

    return value


def _presented(field: Published, units: int) -> Callable[[Numbers, Others], Any]:
    present, name = ALL[field.measure].present, field.plus
    return lambda _numbers, others: present(others.get(name), units)


def _windowed(field: Published, units: int, places: Mapping[str, int]) -> _Field:
    if field.measure not in NUMBERS:
        return _Field(field.name, _presented(field, units), (), field.plus)
    plus = places[field.plus]
    if field.minus is not None:
        minus = places[field.minus]
        return _Field(field.name, _difference(plus, minus, units), (plus, minus))
    return _Field(field.name, _amount(plus, units) if units else _plain(plus), (plus,))


def _of_platform(layout: Layout, scale: int) -> list[_Field]:
    """The fields that no definition asks for."""
    plain = (FIRST_SEEN, LAST_SEEN, SESSIONS, LATE, FIRST_ORDER, LAST_ORDER, UNMATCHED, OVER_REFUNDS, CHARGE_BACKS)
    orders, gross = layout.places.get(_ORDER_COUNT, -1), layout.places.get(_ORDER_AMOUNT, -1)

    def average_basket(numbers: Numbers, _others: Others) -> float | None:
        number, amount = (numbers[orders], numbers[gross]) if min(orders, gross) >= 0 else (0, 0)
        return amount / scale / number if number > 0 and amount != UNKNOWN else None

    def mean_interval(numbers: Numbers, _others: Others) -> float | None:
        number = numbers[orders] if orders >= 0 else 0
        return (numbers[LAST_ORDER] - numbers[FIRST_ORDER]) / DAY_MS / (number - 1) if number > 1 else None

    def channels(numbers: Numbers, _others: Others) -> dict[str, int]:
        return {name: number for name, number in zip(CHANNEL_NAMES, numbers[CHANNEL:_CHANNELS_END], strict=True) if number > 0}

    of_orders = tuple(place for place in (orders, gross) if place >= 0)
    return [
        *(_Field(BASE[place], _plain(place), (place,)) for place in plain),
        _Field("average_basket", average_basket, of_orders),
        _Field(_MEAN, mean_interval, (FIRST_ORDER, LAST_ORDER, *of_orders[:1])),
        _Field("channels", channels, tuple(range(CHANNEL, _CHANNELS_END))),
        _Field("top_products", lambda _numbers, others: _shown_products(others.get("top_products")), (), "top_products"),
        _Field("groups", lambda _numbers, others: _shown_groups(others.get("groups")), (), "groups"),
    ]


def _grouped(fields: Collection[_Field], layout: Layout) -> list[_Group]:
    """Together what is made of the same values."""
    ranges = _ranges(layout)
    groups: dict[tuple[str, ...], list[_Field]] = {}
    for field in fields:
        groups.setdefault((field.other, *sorted({_column(layout.names[place]) for place in field.places})), []).append(field)
    return [_Group(found, [ranges[column] for column in columns], other) for (other, *columns), found in groups.items()]


def _ranges(layout: Layout) -> dict[str, tuple[int, int]]:
    """Where the numbers of each column begin and end."""
    found: dict[str, tuple[int, int]] = {}
    for place, name in enumerate(layout.names):
        begin, _ = found.get(_column(name), (place, place))
        found[_column(name)] = begin, place + 1
    return found


def _column(name: str) -> str:
    """Numbers that lie side by side and change together: all windows of a series and measure, all that orders say, all channels."""
    if "." in name:
        return name.rpartition(".")[0]
    if name.startswith("channel:"):
        return "channel"
    if name in _SEEN or name == "members":
        return name
    return "visits" if name in ("sessions", "late_events") else "orders"


def of_group(numbers: Numbers, others: Others) -> dict[str, Any]:
    """Fields of a group's profile, without its traits."""
    first, last = numbers[FIRST_SEEN], numbers[LAST_SEEN]
    return {
        "kind": others["kind"],
        "members": numbers[MEMBERS],
        "first_seen_at": None if first == UNKNOWN else first,
        "last_seen_at": None if last == UNKNOWN else last,
    }


def _shown_products(top: Any) -> list[list[Any]]:
    """The products with the most units, the most first."""
    return [[name, units] for name, units in sorted((top or {}).items(), key=lambda pair: (-pair[1], pair[0]))[:TOP_SHOWN]]


def _shown_groups(known: Any) -> dict[str, list[str]]:
    """Kind -> ids, both in alphabetical order."""
    shown: dict[str, list[str]] = {}
    for key, _ in known or ():
        _, kind, value = split(key)
        shown.setdefault(kind, []).append(value)
    return {kind: sorted(shown[kind]) for kind in sorted(shown)}


def piece(fields: Mapping[str, Any]) -> str:
    """Fields as a piece of a JSON object: without its braces."""
    return orjson.dumps(fields)[1:-1].decode()


_MEAN: Final = "mean_interpurchase_days"
_SEEN: Final = ("first_seen_at", "last_seen_at")
"""Every event changes them: nothing is gained by remembering how they were written."""
NO_CLOCK: Final = clock_fields(None, None, 0)
_NO_CLOCK: Final = piece(NO_CLOCK)
_NONE: Final[Others] = {}
