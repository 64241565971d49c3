"""How many."""

from typing import Final

from pipelines.aggregations.contract import NO_VALUE, Aggregation

AGGREGATION: Final = Aggregation(
    name="count",
    about="how many entries there are",
    takes=(NO_VALUE, "number", "text"),
    gives="number",
    of_totals=lambda count, amount: count,
    combine=lambda a, b: (a or 0) + (b or 0),
    present=lambda partial, units: partial or 0,
    column={"*": "Int64"},
    sql="toInt64(count())",
    english="the number of {what}",
    chinese="{what}",
    naive=len,
)
