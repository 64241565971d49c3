"""Views for analysts over the minutes of quality; docs/quality.md shows how to use them."""

from typing import Final

_WHAT: Final = "tenant, origin, source, event, measure, field"
_DIMENSIONS: Final = "region, app_version, platform, channel"
_NEWEST: Final = "(SELECT max(minute) FROM quality_progress FINAL WHERE name = 'measured')"


def _shares(keys: str, where: str = "true") -> str:
    """Counts and share by keys. The inner names differ from the outer ones: ClickHouse would take sum(passed) for a sum of sums."""
    return (
        f"SELECT {keys}, sum(good) AS passed, sum(counted) AS total, "
        f"if(sum(counted) = 0, NULL, round(sum(good) / sum(counted), 5)) AS share "
        f"FROM (SELECT * EXCEPT (passed, total), passed AS good, total AS counted FROM quality FINAL WHERE {where}) "
        f"GROUP BY ALL HAVING passed + total > 0"
    )


VIEWS: Final = {
    "quality_by_minute": _shares(f"minute, {_WHAT}"),
    "quality_by_hour": _shares(f"toStartOfHour(minute) AS hour, {_WHAT}"),
    "quality_by_day": _shares(f"toDate(minute) AS day, {_WHAT}"),
    "quality_by_slice": _shares(f"toStartOfHour(minute) AS hour, {_WHAT}, {_DIMENSIONS}"),
    "quality_last_hour": _shares(_WHAT, f"minute >= {_NEWEST} - INTERVAL 1 HOUR AND minute < {_NEWEST}"),
    "alerts_now": "SELECT id, max(number) AS changes, argMax(change, number) AS last_change, any(kind) AS kind, any(tenant) AS tenant, "
    "any(measure) AS measure, any(event) AS event, any(field) AS field, any(origin) AS origin, any(opened_at) AS opened_at, "
    "min(onset) AS onset, max(at) AS changed_at, argMax(before, number) AS before, argMax(after, number) AS after, "
    "argMax(total, number) AS total, argMax(causes, number) AS causes, argMax(why, number) AS why, argMax(says, number) AS says "
    "FROM (SELECT * FROM alerts FINAL) GROUP BY id",
}
"""View -> query."""
