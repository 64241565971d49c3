"""When the last entry was."""

from typing import Final

from pipelines.aggregations.contract import NO_VALUE, Aggregation, either

AGGREGATION: Final = Aggregation(
    name="last_time",
    about="the time of the last entry, ms; nothing without entries. How long ago: `now - ...` in a rule",
    takes=(NO_VALUE, "number", "text"),
    gives="time",
    lift=lambda time, value: time,
    combine=either(max),
    present=lambda partial, units: partial,
    column={"*": "Nullable(Int64)"},
    sql="maxOrNull({time})",
    english="the time of the last of {what}",
    chinese="最近{what}的时间",
    naive=lambda entries: max((time for time, _ in entries), default=None),
)
