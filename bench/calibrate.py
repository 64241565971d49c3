"""How fast this machine is right now, without any of our code: a loop, random reads of memory, the parsing of JSON.

The machines this runs on differ threefold from day to day, and by memory more than by arithmetic. A figure is worth little without
these beside it.
"""

import json
import random
import time
from collections.abc import Callable
from typing import Final

import msgspec

STEPS: Final = 1_000_000
OBJECTS: Final = 2_000_000  # 32 bytes each and 8 for the reference: far more than a cache holds
READS: Final = 500_000
TEXTS: Final = 20_000
ROUNDS: Final = 3


class Calibration(msgspec.Struct, frozen=True):
    """CPU nanoseconds: of a step of a loop, of a read of one object out of millions, of the parsing of one event's JSON."""

    loop_ns: float
    read_ns: float
    json_ns: float


def calibrate(scale: float = 1.0) -> Calibration:
    """Measure; takes some five seconds and 100 MB.

    Args:
        scale: share of the work; small ones are for tests.
    """
    steps, objects, reads, texts = (max(1_000, int(count * scale)) for count in (STEPS, OBJECTS, READS, TEXTS))
    dice = random.Random(1)
    boxed = [float(number) for number in range(objects)]
    dice.shuffle(boxed)  # neighbours in the list are no neighbours in memory
    places = [dice.randrange(objects) for _ in range(reads)]
    properties = {f"name{number}": number * 1.5 for number in range(20)}
    text = json.dumps({"type": "track", "messageId": "m" * 30, "properties": properties})
    return Calibration(
        loop_ns=_best(lambda: _loop(steps), steps),
        read_ns=_best(lambda: _read(boxed, places), reads),
        json_ns=_best(lambda: _parse(text, texts), texts),
    )


def _best(work: Callable[[], object], count: int) -> float:
    """The least of some rounds: what disturbs can only add."""
    spent = []
    for _ in range(ROUNDS):
        begun = time.process_time_ns()
        work()
        spent.append(time.process_time_ns() - begun)
    return max(min(spent), 1) / count


def _loop(steps: int) -> int:
    total = 0
    for number in range(steps):
        total += number & 7
    return total


def _read(boxed: list[float], places: list[int]) -> float:
    total = 0.0
    for place in places:
        total += boxed[place]
    return total


def _parse(text: str, count: int) -> int:
    return sum(len(json.loads(text)) for _ in range(count))
