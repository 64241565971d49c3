"""All events of the data set, real and synthetic, in order of log time."""

import heapq
import itertools
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final, NamedTuple

from demo import browsing, invoices, service
from demo.dataset import DAY_MS, Dataset, Invoice
from demo.messages import Message, dice, iso


class Slice(NamedTuple):
    """Which part of the data set: its first `days` days and `customers` of its customers (0: all)."""

    days: int = 0
    customers: int = 0


WHOLE: Final = Slice()
WHOLE_EVENTS: Final = 300_790
"""Events of the whole data set."""


def select(dataset: Dataset, part: Slice) -> list[Invoice]:
    """Invoices of a slice. Invoices without a customer are thinned out like the customers."""
    chosen = dataset.invoices
    if part.days:
        end_ms = _day_start(chosen[0].time_ms) + part.days * DAY_MS
        chosen = [invoice for invoice in chosen if invoice.time_ms < end_ms]
    if part.customers:
        known = sorted({invoice.customer for invoice in chosen if invoice.customer})
        share = min(1.0, part.customers / max(1, len(known)))
        kept = set(dice("customers").sample(known, min(part.customers, len(known))))
        chosen = [i for i in chosen if (i.customer in kept if i.customer else dice("guests", i.number).random() < share)]
    return chosen


def _day_start(time_ms: int) -> int:
    return time_ms - time_ms % DAY_MS


def days_until_yesterday(chosen: list[Invoice], now_ms: int) -> int:
    """By how many whole days the invoices have to move so that the last one was issued yesterday (UTC)."""
    return (_day_start(now_ms) - _day_start(chosen[-1].time_ms)) // DAY_MS - 1


def events(dataset: Dataset, part: Slice = WHOLE, shift_days: int = 0) -> Iterator[Message]:
    """Generate the events of a slice.

    Args:
        dataset: the data set.
        part: which part of it.
        shift_days: moves every time by this many days.

    Yields:
        Events by log time, the same ones each time. None is later than the last day of the slice: a ticket that
        would be closed after it stays open.
    """
    chosen = select(dataset, part)
    if not chosen:
        return
    shift_ms = shift_days * DAY_MS
    end_ms = _day_start(chosen[-1].time_ms) + DAY_MS + shift_ms
    waiting: list[tuple[int, int, Message]] = []
    number = itertools.count()
    for invoice in chosen:
        moved = invoice._replace(time_ms=invoice.time_ms + shift_ms)
        for event in _of(moved, dataset):
            if event.log_ms < end_ms:
                heapq.heappush(waiting, (event.log_ms, next(number), event))
        yield from _until(waiting, moved.time_ms - browsing.LEAD_MS)
    yield from _until(waiting, math.inf)


def _of(invoice: Invoice, dataset: Dataset) -> Iterator[Message]:
    if invoice.is_sale:
        yield from browsing.before(invoice, dataset.catalogue)
    yield invoices.to_event(invoice)
    if invoice.is_refund:
        yield from service.after(invoice)


def _until(waiting: list[tuple[int, int, Message]], limit_ms: float) -> Iterator[Message]:
    while waiting and waiting[0][0] < limit_ms:
        yield heapq.heappop(waiting)[2]


def describe(chosen: list[Invoice], shift_days: int) -> str:
    """One line for people: how many invoices from when to when."""
    first, last = (iso(chosen[at].time_ms + shift_days * DAY_MS)[:10] for at in (0, -1))
    return f"{len(chosen):,} invoices, {first} to {last}" + (f" (moved by {shift_days:,} days)" if shift_days else "")


def today_ms() -> int:
    """The wall clock, for `days_until_yesterday`; nothing else in this room reads it."""
    return int(datetime.now(UTC).timestamp() * 1000)
