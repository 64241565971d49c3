"""The mean."""

from typing import Final

from pipelines.aggregations.contract import Aggregation, either

AGGREGATION: Final = Aggregation(
    name="average",
    about="the sum of the amounts divided by the number of entries; nothing without entries",
    takes=("number",),
    gives="number",
    of_totals=lambda count, amount: [count, amount],
    combine=either(lambda a, b: [a[0] + b[0], a[1] + b[1]]),
    present=lambda partial, units: partial[1] / (units * partial[0]) if partial and partial[0] else None,
    column={"*": "Nullable(Float64)"},
    sql="avgOrNull({value})",
    english="the average of {what}",
    chinese="{what}的平均值",
    naive=lambda entries: sum(value for _, value in entries) / len(entries) if entries else None,
)
