"""One line for each record of a clean topic."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from rich.text import Text

from cli.profile_card import moment, number
from cli.stores import shown_node

_SHOWN: Final = ("order_id", "refund_id", "ticket_id", "product_id", "name", "category", "total", "price", "quantity")
_COLOURS: Final = {"Order Completed": "bold green", "Order Updated": "green", "Order Refunded": "magenta", "Order Cancelled": "red"}
_WIDTH: Final = 22


def event_line(record: Mapping[str, Any]) -> Text:
    """An applied event."""
    line = _start(record["log_time"])
    name = record["name"]
    colour = _COLOURS.get(name, "yellow" if name.startswith("Ticket") else "cyan")
    line.append(f"{name:<{_WIDTH}} ", style=colour).append(f"{shown_node(record['node']):<{_WIDTH}} ", style="bold")
    properties = orjson.loads(record["properties"])
    line.append(" ".join(_properties(properties)))
    line.append(f"  {record['channel']}{' late' if record['late'] else ''}  {_position(record)}", style="dim")
    return line


def rejected_line(record: Mapping[str, Any]) -> Text:
    """A rejected record. Its bytes are not shown: they may hold anything."""
    line = _start(record["log_time"])
    line.append(f"{record['code']:<{_WIDTH}} ", style="bold red").append(f"{record['field'] or '-'} ", style="bold").append(record["rule"])
    size = len(record["original"])
    line.append(f"  {record['tenant'] or 'unknown tenant'}, {size:,} bytes  {_position(record)}", style="dim")
    return line


def change_line(record: Mapping[str, Any]) -> Text:
    """A profile's new version."""
    fields = orjson.loads(record["features"])
    line = _start(record["at"])
    who = ", ".join(shown_node(node) for node in record["nodes"]) or record["profile_id"]
    line.append(f"{record['cause']:<12} ").append(f"{who:<{_WIDTH}} ", style="bold")
    if "_merged_into" in fields:
        return line.append(f"merged into {fields['_merged_into']}", style="magenta")
    line.append(f"{fields.get('rfm_segment') or '-':<20} ", style="cyan")
    orders, net, views = (number(fields.get(name)) for name in ("orders_lifetime", "net_lifetime", "views_lifetime"))
    line.append(f"{orders} orders, net {net}, {views} views ")
    for tag in record["tags_entered"]:
        line.append(f" +{tag}", style="bold green")
    for tag in record["tags_exited"]:
        line.append(f" -{tag}", style="bold red")
    return line.append(f"  v{record['incarnation']}-{record['version']}", style="dim")


def _start(ms: int) -> Text:
    return Text(f"{moment(ms)}.{ms % 1000:03d}  ")


def _position(record: Mapping[str, Any]) -> str:
    return f"{record['source'].removeprefix('cdp.raw.')}/{record['partition']}@{record['offset']}"


def _properties(properties: Mapping[str, Any]) -> list[str]:
    shown = [f"{name}={number(properties[name])}" for name in _SHOWN if properties.get(name) is not None]
    products = properties.get("products")
    if isinstance(products, list):
        shown.append(f"{len(products)} product{'' if len(products) == 1 else 's'}")
    return shown
