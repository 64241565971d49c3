"""Which rate to try next: start low, raise until one does not hold, then halve the gap. Pure: the rates are held elsewhere."""

import math
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

LEAST_PER_S: Final = 10.0
Held = TypeVar("Held")


def next_rate(first: float, held: Sequence[float], failed: Sequence[float], step: float, close: float) -> float | None:
    """The next rate to try.

    Args:
        first: rate to begin with, low enough to be held by any likely system.
        held: rates that held so far.
        failed: rates that did not.
        step: factor from a rate that held to the next one, as long as none above it has failed.
        close: the search is over when the lowest rate that failed is at most so many times the highest that held.

    Returns:
        A rate in events a second, or None when there is nothing left to find out.
    """
    if not held and not failed:
        return first
    if not held:
        return min(failed) / 2 if min(failed) / 2 >= LEAST_PER_S else None
    best = max(held)
    # A rate that failed below one that held was unlucky: the higher one is the better witness.
    ceiling = min((rate for rate in failed if rate > best), default=math.inf)
    if math.isinf(ceiling):
        return best * step
    return math.sqrt(best * ceiling) if ceiling / best > close else None


def climb(
    first: float, hold: Callable[[float], Held | None], has_time: Callable[[], bool], step: float, close: float
) -> tuple[float, Held] | None:
    """Find the highest rate that holds.

    Args:
        first: rate to begin with.
        hold: holds a rate for a while; None when it did not hold.
        has_time: whether there is time for one more rate. Until one has held the search goes on in any case: a slow day must not end
            without a figure.
        step: see `next_rate`.
        close: see `next_rate`.

    Returns:
        The best rate and what was found while it was held; None when not even `LEAST_PER_S` held.
    """
    found: dict[float, Held] = {}
    failed: list[float] = []
    while not found or has_time():
        rate = next_rate(first, list(found), failed, step, close)
        if rate is None:
            break
        result = hold(rate)
        if result is None:
            failed.append(rate)
        else:
            found[rate] = result
    return max(found.items(), key=lambda pair: pair[0]) if found else None
