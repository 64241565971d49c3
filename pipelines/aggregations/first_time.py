"""When the first entry was."""

from typing import Final

from pipelines.aggregations.contract import NO_VALUE, Aggregation, either

AGGREGATION: Final = Aggregation(
    name="first_time",
    about="the time of the first entry, ms; nothing without entries. How long ago: `now - ...` in a rule",
    takes=(NO_VALUE, "number", "text"),
    gives="time",
    lift=lambda time, value: time,
    combine=either(min),
    present=lambda partial, units: partial,
    column={"*": "Nullable(Int64)"},
    sql="minOrNull({time})",
    english="the time of the first of {what}",
    chinese="首次{what}的时间",
    naive=lambda entries: min((time for time, _ in entries), default=None),
)
