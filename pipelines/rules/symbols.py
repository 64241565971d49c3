"""What a rule may read at one place: names with their kinds, their words, and how Python and ClickHouse get at them."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from pipelines.rules.tree import Kind

NOW: Final = "now"
"""The name of the moment of judging; every place has it."""


class Symbol(msgspec.Struct, frozen=True, kw_only=True):
    """A field that rules may read.

    Attributes:
        name: as rules write it.
        kind: of its values.
        sql: ClickHouse expression of its value: `Nullable(Float64)` (times and durations in ms), `Nullable(String)`, `Nullable(Bool)`,
            `Array(String)` for a set, `Array(Tuple(...))` for a list; empty where there is no SQL.
        moments: of a time: a `DateTime64(3)` expression of the same value, which can use an index; empty: there is none.
        is_checked: whether a value is surely of its kind, or missing; else Python takes any other for missing.
        english: what it is called in an English sentence; empty: by its name.
        chinese: the same in Chinese.
        entries: of a list: the fields of its entries, whose `sql` is an expression over `entry`.
        values: of a text: all that it can be; empty: anything.
        keys: of a set that Python holds as a list of pairs: whether the first of each pair is meant.
    """

    name: str
    kind: Kind
    sql: str = ""
    moments: str = ""
    is_checked: bool = False
    english: str = ""
    chinese: str = ""
    entries: dict[str, "Symbol"] = {}
    values: tuple[str, ...] = ()
    keys: bool = False


class Symbols:
    """The symbols of one place.

    Args:
        symbols: all of them, `now` apart.
        what: what has these fields, for messages: `a profile`, `Order Completed`.
        now_sql: ClickHouse expression of the moment of judging, ms; empty: rules may not ask for it.
    """

    def __init__(self, symbols: Iterable[Symbol], what: str, now_sql: str = "") -> None:
        self._known = {symbol.name: symbol for symbol in symbols}
        self._known[NOW] = Symbol(name=NOW, kind="time", sql=now_sql, is_checked=True, english="now", chinese="现在")
        self.what = what

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def __getitem__(self, name: str) -> Symbol:
        return self._known[name]

    @property
    def all(self) -> Mapping[str, Symbol]:
        """By name."""
        return self._known

    def of(self, name: str, within: str = "") -> Symbol | None:
        """A symbol, or one of the entries of the list `within`; None when there is none."""
        if not within:
            return self._known.get(name)
        found = self._known.get(within)
        return found.entries.get(name) if found else None

    def near(self, name: str, within: str = "") -> str:
        """What may have been meant by a name that there is not, as the end of a message."""
        known = self._known[within].entries if within else self._known
        found = difflib.get_close_matches(name, known, 1)
        return f"; did you mean `{found[0]}`?" if found else ""
