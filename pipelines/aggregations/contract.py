"""What an aggregation is: how a value is begun, combined and shown, in the stream and in ClickHouse.

A node keeps, of each series, its entries by time: the newest one by one, older ones by tile (docs/features.md, "Windows"). An aggregation
either needs no more of them than their number and the sum of their amounts (`of_totals`); or a *cell* an entry, which `lift` makes and
`combine` joins, tile by tile, window by window and node by node. So `combine` has to be commutative and associative, and must not change
its arguments: merges, restarts and late events rely on it.

Partials are kept and sent as msgpack: None, whole numbers of 64 bits, doubles, texts, lists, and dicts with texts as keys. A sum of squares
of values, which are in millionths, leaves 64 bits soon: keep it as a text, or in parts.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from pipelines.rules.tree import Kind

Entry = tuple[int, Any]
"""Time in ms and value; a number in millionths, like all that is added up."""
MICRO: Final = 1_000_000
NO_VALUE: Final = ""
"""In `takes`: of series without values, which count what happens."""


class Aggregation(msgspec.Struct, frozen=True, kw_only=True):
    """An aggregation.

    Attributes:
        name: what features call it: `measure`.
        about: one line for docs.
        takes: kinds of values it can be made of; `NO_VALUE` for series that have none.
        gives: kind of the result; empty: that of the values.
        of_totals: number of entries and sum of their amounts -> partial; None: it needs cells.
        lift: time and value of an entry -> partial of that entry alone; None where `of_totals` is there.
        combine: two partials -> one.
        present: partial (None: there is no entry) and how many units of an amount make one -> what the profile shows.
        column: ClickHouse type of what is shown, by the kind of the values; `*` for any.
        sql: ClickHouse aggregate over columns `{time}` (ms) and `{value}`, where numbers are doubles; `{hash}` is of the value.
        english: what it is called in a sentence, of `{what}`, which is a plural without article: `orders`, `viewed prices`.
        chinese: the same in Chinese.
        naive: the same as slowly as it is said in `about`, for tests: entries in any order -> what is shown, numbers as they are.
    """

    name: str
    about: str
    takes: tuple[str, ...]
    gives: Kind | None = None
    of_totals: Callable[[int, int], Any] | None = None
    lift: Callable[[int, Any], Any] | None = None
    combine: Callable[[Any, Any], Any]
    present: Callable[[Any, int], Any]
    column: dict[str, str]
    sql: str
    english: str
    chinese: str
    naive: Callable[[Sequence[Entry]], Any]

    @property
    def has_cells(self) -> bool:
        """Whether it needs its own state beside the series' totals."""
        return self.of_totals is None

    def aggregate(self, time: str, value: str, of: str) -> str:
        """The ClickHouse aggregate.

        Args:
            time: expression of the time of an entry, ms.
            value: expression of its value: a double, or a text.
            of: kind of the values.
        """
        text = f"toString(toInt64(round({value} * {MICRO})))" if of == "number" else f"toString({value})"
        return self.sql.format(time=time, value=value, hash=f"reinterpretAsUInt64(substring(MD5({text}), 1, 8))")

    def kind(self, of: str) -> Kind:
        """Kind of what is shown, of values of a kind."""
        return self.gives or of  # type: ignore[return-value]

    def column_of(self, of: str) -> str:
        """ClickHouse type of what is shown, of values of a kind."""
        return self.column.get(of) or self.column["*"]


def scaled(value: Any, units: int) -> Any:
    """An amount in its units; what is no number, and nothing, as it is."""
    return value / units if units and isinstance(value, int) else value


def either(combine: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """The same function, for which nothing (None) changes nothing."""
    return lambda a, b: b if a is None else a if b is None else combine(a, b)
