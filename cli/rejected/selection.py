"""Which records the options of a command ask for."""

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import KafkaException

from cli.rejected.clock import log_now
from config import loader
from operations.raw_topics import RawTopicsError
from pipelines.rejected import conditions
from pipelines.rejected.record import Position, PositionError
from pipelines.rules import moments
from pipelines.rules.tree import Node
from schemas import codes
from stack.errors import StackError

RAW = "cdp.raw."


class SelectionError(ValueError):
    """An option cannot be understood; the message says what was meant."""


class Selection(NamedTuple):
    """The options by which records are chosen, as typed; empty means: any."""

    where: str = ""
    code: str = ""
    source: str = ""
    topic: str = ""
    field: str = ""
    tenant: str = ""
    since: str = ""
    until: str = ""


def condition(chosen: Selection, now: Callable[[], int] | None = None) -> Node:
    """The options as one condition.

    Args:
        chosen: as typed.
        now: the log's clock, ms; by default that of the platform, asked for if it is needed.

    Raises:
        SelectionError: a code, duration or time among them is none.
        pipelines.rules.errors.RuleError: `--where` is no condition over rejected records.
    """
    clock = now or _now
    parts = [conditions.parse(chosen.where, clock)] if chosen.where.strip() else []
    parts += [conditions.one_of("code", _codes(chosen.code))] if chosen.code else []
    # In records and tables a source's name is `origin`, and `source` the raw topic.
    parts += [conditions.one_of("origin", listed(chosen.source))] if chosen.source else []
    parts += [conditions.one_of("source", [raw_topic(name) for name in listed(chosen.topic)])] if chosen.topic else []
    parts += [conditions.one_of("tenant", listed(chosen.tenant))] if chosen.tenant else []
    parts += [_field(chosen.field)] if chosen.field else []
    parts += [conditions.compare("log_time", ">=", moment("--since", chosen.since, clock))] if chosen.since else []
    parts += [conditions.compare("log_time", "<", moment("--until", chosen.until, clock))] if chosen.until else []
    return conditions.every(parts)


def raw_topic(name: str) -> str:
    """A raw topic, by its name or what stands in it behind `cdp.raw.`; names that are no topic's (any more) as they are."""
    return RAW + name if RAW + name in loader.topics().raw() else name


def position(text: str) -> Position:
    """A position as typed: `cdp.raw.orders:0:1234`, or shorter `orders:0:1234`.

    Raises:
        PositionError: it is none.
    """
    try:
        found = Position.parse(text)
    except PositionError:
        if text.count("/") == 1 and text.count("@") == 1:  # as `cdp tail` and `cdp verify` write it
            return position(text.replace("/", ":").replace("@", ":"))
        raise
    return found._replace(topic=raw_topic(found.topic))


def listed(text: str) -> list[str]:
    """The values of an option that takes several, separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def moment(option: str, text: str, now: Callable[[], int]) -> int:
    """A time as typed, ms: how long ago, or when.

    Args:
        option: for messages.
        text: `15m`, or a date or time.
        now: the clock that a duration counts back from, ms.

    Raises:
        SelectionError: it is neither.
    """
    span = moments.duration_ms(text)
    found = moments.moment_ms(text) if span is None else now() - span
    if found is None:
        raise SelectionError(f"{option}: `{text}` is neither a duration (90s 15m 6h 2d 1w) nor a time (2026-01-31, 2026-01-31T10:00:00Z)")
    return moments.bounded(found)


def _now() -> int:
    try:
        return log_now()
    except (KafkaException, RawTopicsError, StackError):  # Kafka is away, or its topics: what can be looked at without them should be
        return int(time.time() * 1000)


def _codes(text: str) -> list[str]:
    unknown = [code for code in listed(text) if code not in codes.ALL]
    if unknown:
        raise SelectionError(f"--code: no code `{unknown[0]}`; there are {', '.join(codes.ALL)}")
    return listed(text)


def _field(path: str) -> Node:
    """`*` stands for anything, so that `$.properties.products[*].price` means every line."""
    if "*" not in path:
        return conditions.compare("field", "=", path)
    literal = [re.sub(r"([%_\\])", r"\\\1", part) for part in path.split("*")]
    return conditions.like("field", "%".join(literal))
