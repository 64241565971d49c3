"""The sum."""

from typing import Final

from pipelines.aggregations.contract import Aggregation, scaled

AGGREGATION: Final = Aggregation(
    name="amount",
    about="the sum of the amounts, 0 without entries",
    takes=("number",),
    gives="number",
    of_totals=lambda count, amount: amount,
    combine=lambda a, b: (a or 0) + (b or 0),
    present=lambda partial, units: scaled(partial or 0, units),
    column={"*": "Float64"},
    sql="sum({value})",
    english="{what}",
    chinese="{what}",
    naive=lambda entries: sum(value for _, value in entries),
)
