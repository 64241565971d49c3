"""Which ones."""

from typing import Any, Final

from pipelines.aggregations.contract import Aggregation, either

MOST: Final = 100


def _newest(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    """Of both the values that came last, each with its last time. What one part has dropped is not among the last of the whole either."""
    found = dict(a)
    for value, time in b.items():
        found[value] = max(time, found.get(value, time))
    if len(found) <= MOST:
        return found
    return dict(sorted(found.items(), key=lambda pair: (pair[1], pair[0]))[-MOST:])


def _naive(entries: Any) -> list[str]:
    last: dict[str, int] = {}
    for time, value in sorted(entries):
        last[value] = time
    return sorted(value for value, _ in sorted(last.items(), key=lambda pair: (pair[1], pair[0]))[-MOST:])


AGGREGATION: Final = Aggregation(
    name="values",
    about="the different values, in alphabetical order; of more than 100 those that came last",
    takes=("text",),
    gives="set",
    lift=lambda time, value: {value: time},
    combine=either(_newest),
    present=lambda partial, units: sorted(partial or ()),
    column={"*": "Array(String)"},
    sql=(
        "arraySort(arrayMap(pair -> pair.2, arraySlice(arrayReverseSort(arrayZip(mapValues(maxMap(map({value}, {time}))), "
        f"mapKeys(maxMap(map({{value}}, {{time}}))))), 1, {MOST})))"
    ),
    english="{what}",
    chinese="{what}",
    naive=_naive,
)
