"""The first value."""

from typing import Final

from pipelines.aggregations.contract import Aggregation, either, scaled

AGGREGATION: Final = Aggregation(
    name="first",
    about="the value of the first entry, of several at that time the smallest; nothing without entries",
    takes=("number", "text"),
    lift=lambda time, value: [time, value],
    combine=either(min),
    present=lambda partial, units: scaled(partial[1], units) if partial else None,
    column={"number": "Nullable(Float64)", "text": "Nullable(String)"},
    sql="argMinOrNull({value}, ({time}, {value}))",
    english="the first of {what}",
    chinese="首次{what}",
    naive=lambda entries: min(entries)[1] if entries else None,
)
