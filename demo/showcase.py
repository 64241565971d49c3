"""What the tour shows of the stores, as rich tables."""

from typing import Any, Final

from rich.table import Table

from demo.latency import Percentiles
from demo.messages import iso
from profile_store.profile import Profile
from sinks.clickhouse import ClickHouse

GLANCE: Final = (
    "orders_lifetime", "net_lifetime", "orders_90d", "net_90d", "views_30d", "average_basket", "mean_interpurchase_days",
    "last_order_at", "top_products", "channels", "r_score", "f_score", "m_score", "rfm_segment",
)  # fmt: skip
LOYAL: Final = """
SELECT arrayFirst(node -> splitByChar('|', node)[2] = 'user_id', identifiers) AS node
FROM customers WHERE tenant = {tenant:String} AND tag_loyal AND node != '' ORDER BY net_365d DESC, node LIMIT 1"""
SEGMENTS: Final = """
SELECT segment, customers, share, average_recency_days, average_orders_365d, average_net_365d, net_365d_total
FROM rfm_segments WHERE tenant = {tenant:String}"""
MINUTES: Final = """
SELECT formatDateTime(minute, '%F %R') AS minute, source, name, sum(events) AS events FROM events_by_minute
WHERE tenant = {tenant:String} GROUP BY minute, source, name ORDER BY minute DESC, events DESC LIMIT 8"""
PEOPLE: Final = """
SELECT uniqExact(node) AS identifiers, uniqExact(person) AS people, uniqExactIf(node, node LIKE '%|anonymous_id|%') AS browsers,
  uniqExactIf(node, node LIKE '%|anonymous_id|%' AND person IN (SELECT profile_id FROM customers)) AS browsers_of_customers
FROM (SELECT DISTINCT node, person FROM events_of_people WHERE tenant = {tenant:String} AND node != '')"""
SCORED: Final = "SELECT count() AS profiles FROM profiles WHERE tenant = {tenant:String} AND rfm_version = {version:UInt64}"
EVENTS: Final = "SELECT count() AS events FROM events"


def glance(profile: Profile) -> Table:
    """The telling fields of a profile, as Redis holds them."""
    table = Table(title=f"profile {profile.profile_id}, version {profile.version[0]}-{profile.version[1]}", title_justify="left")
    table.add_column("field")
    table.add_column("value", overflow="fold")
    for name in GLANCE:
        if name in profile.fields:
            value = profile.fields[name]
            shown = f"{value:,.2f}" if isinstance(value, float) else str(value)
            table.add_row(name, iso(value) if name.endswith("_at") and value is not None else shown)
    table.add_row("tags", ", ".join(profile.tags) or "none")
    return table


def of_rows(title: str, rows: list[dict[str, Any]]) -> Table:
    """The answer to a query; numbers to the right."""
    table = Table(title=title, title_justify="left")
    for name, value in (rows[0] if rows else {"(nothing yet)": ""}).items():
        table.add_column(name, justify="right" if isinstance(value, int | float) else "left")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in row.values()))
    return table


def of_latency(measured: Percentiles) -> Table:
    """Percentiles of the live events."""
    table = Table(title=f"from send to visible in Redis, {measured.events} live events (ms)", title_justify="left", min_width=60)
    for name in ("p50", "p95", "p99", "longest"):
        table.add_column(name, justify="right")
    table.add_row(*(f"{value:,.0f}" for value in measured[:4]))
    return table


def loyal_customer(server: ClickHouse, tenant: str) -> str | None:
    """The user id of the loyal customer who brought most in the last year, None without one."""
    rows = server.rows(LOYAL, {"tenant": tenant})
    return str(rows[0]["node"]).split("|", 2)[2] if rows else None
