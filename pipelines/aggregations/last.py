"""The last value."""

from typing import Final

from pipelines.aggregations.contract import Aggregation, either, scaled

AGGREGATION: Final = Aggregation(
    name="last",
    about="the value of the last entry, of several at that time the greatest; nothing without entries",
    takes=("number", "text"),
    lift=lambda time, value: [time, value],
    combine=either(max),
    present=lambda partial, units: scaled(partial[1], units) if partial else None,
    column={"number": "Nullable(Float64)", "text": "Nullable(String)"},
    sql="argMaxOrNull({value}, ({time}, {value}))",
    english="the last of {what}",
    chinese="最近{what}",
    naive=lambda entries: max(entries)[1] if entries else None,
)
