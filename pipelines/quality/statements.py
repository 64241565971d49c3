"""The statement that measures: one INSERT ... SELECT for a stretch of minutes, made from plan and contracts, run inside ClickHouse.

Events are first folded into *cells* (minute and all dimensions), with one counter per thing that is checked, so an event costs one pass
over its JSON and a few comparisons. What a cell says is then spread into rows `(measure, field, passed, total)`: that work grows with the
number of cells, not of events.
"""

from collections.abc import Collection
from typing import Final

from pipelines.quality.cells import CELL, event_cells, last_week, source_cells
from pipelines.quality.plan import OTHER, Plan
from pipelines.quality.references import reference_cells
from pipelines.quality.rejected_cells import rejected_cells
from pipelines.quality.sql import moment
from pipelines.quality.tables import KEYS
from pipelines.rules.sql import quoted

MAX_NAMES: Final = 200
"""Names of events, and of sources, that are kept apart in a span."""
_FREE_WORDS: Final = ("origin", "event", "region", "app_version", "platform")
"""What producers can fill as they like: the number of values that are kept apart is bounded."""


def measure(plan: Plan, first: int, end: int, events: Collection[str], version: int, default_tenant: str) -> str:
    """The statement that writes the minutes `first` to `end` (excluded) into `quality`.

    Run again it overwrites what it wrote, with zeros where there is nothing any more.

    Args:
        plan: what is checked.
        first: minutes since the epoch.
        end: minutes since the epoch.
        events: names of the applied events there are in these minutes; others are counted, not checked.
        version: greater than at any earlier attempt.
        default_tenant: of records whose tenant nobody could read.
    """
    cells = [
        event_cells(plan, first, end, [plan.of(name) for name in sorted(events)]),
        *source_cells(first, end),
        *rejected_cells(plan, first, end, default_tenant),
        last_week(first, end),
        *reference_cells(plan.quality, first, end),
    ]
    most = dict.fromkeys(_FREE_WORDS, plan.quality.values_per_dimension) | {"event": MAX_NAMES, "origin": MAX_NAMES}
    tops = ", ".join(f"topKWeighted({most[name]})({name}, weight) OVER () AS top_{name}" for name in _FREE_WORDS)
    kept = [f"if(has(top_{name}, {name}), {name}, {quoted(OTHER)}) AS {name}" if name in _FREE_WORDS else name for name in CELL]
    keys, union = ", ".join(KEYS), "\nUNION ALL\n".join(cells)
    return f"""INSERT INTO quality ({keys}, passed, total, version)
SELECT {keys}, sum(passed) AS passed, sum(total) AS total, {version} AS version
FROM (
SELECT {", ".join(kept)}, one.1 AS measure, one.2 AS field, one.3 AS passed, one.4 AS total
FROM (SELECT *, {tops} FROM (
{union}
)) ARRAY JOIN checks AS one
UNION ALL
SELECT {", ".join(CELL)}, toString(measure) AS measure, field, toUInt64(0) AS passed, toUInt64(0) AS total
FROM quality WHERE minute >= {moment(first)} AND minute < {moment(end)}
)
GROUP BY {keys}
SETTINGS max_partitions_per_insert_block = 1000"""
