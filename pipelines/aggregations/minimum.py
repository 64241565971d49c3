"""The smallest."""

from typing import Final

from pipelines.aggregations.contract import Aggregation, either, scaled

AGGREGATION: Final = Aggregation(
    name="min",
    about="the smallest value; nothing without entries",
    takes=("number",),
    gives="number",
    lift=lambda time, value: value,
    combine=either(min),
    present=scaled,
    column={"*": "Nullable(Float64)"},
    sql="minOrNull({value})",
    english="the smallest of {what}",
    chinese="{what}的最小值",
    naive=lambda entries: min((value for _, value in entries), default=None),
)
