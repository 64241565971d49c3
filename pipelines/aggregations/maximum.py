"""The greatest."""

from typing import Final

from pipelines.aggregations.contract import Aggregation, either, scaled

AGGREGATION: Final = Aggregation(
    name="max",
    about="the greatest value; nothing without entries",
    takes=("number",),
    gives="number",
    lift=lambda time, value: value,
    combine=either(max),
    present=scaled,
    column={"*": "Nullable(Float64)"},
    sql="maxOrNull({value})",
    english="the greatest of {what}",
    chinese="{what}的最大值",
    naive=lambda entries: max((value for _, value in entries), default=None),
)
