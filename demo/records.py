"""The records of the data set, and what must become of them."""

from typing import Any

from demo.messages import Message, render
from operations.timed_stream import APPLIED, REJECTED, Record


def outcome(body: dict[str, Any]) -> str:
    """What becomes of an event of the data set: applied, unless it is a stock write-off or bad debt."""
    properties = body.get("properties", {})
    if any(line["quantity"] < 1 or line["price"] < 0 for line in properties.get("products", ())):
        return REJECTED + "quality_rule"
    return APPLIED


def of(message: Message) -> Record:
    """The record of an event nothing was done to."""
    return Record(
        message.log_ms, message.topic, message.key.encode(), render(message.body), outcome(message.body), message.body["messageId"]
    )
