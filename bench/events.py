"""The stream of the workload: cheap enough to be made on the machine that is measured (about 3 us an event)."""

import itertools
import random
import time
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from bench import templates
from bench.workload import Workload, WorkloadError
from demo.messages import iso

_USERS_AHEAD: Final = 1 << 21
_BODIES_AHEAD: Final = 1 << 17
_RECENT: Final = 4096
_SAMPLE: Final = 20_000


class Sent(NamedTuple):
    """An event as it goes to Kafka."""

    topic: str
    key: bytes
    value: bytes


class Events:
    """An endless stream of events, the same for the same workload but for their times.

    Args:
        workload: what to send.
    """

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        dice = self._dice = random.Random(workload.seed)
        self._users = [b"u%07d" % number for number in range(workload.profiles)]
        made = {name: [templates.make(name, dice) for _ in range(workload.templates)] for name in workload.mix if name != "Order Refunded"}
        orders = made["Order Completed"]
        self._refunds = {order.text: templates.refund_of(order, dice) for order in orders}
        names, shares = list(workload.mix), list(workload.mix.values())
        # Users, bodies and repeats come from rings drawn in advance, of lengths that share no factor: nothing is drawn while sending.
        self._next_user = itertools.cycle(self._draw_users(min(_USERS_AHEAD, 20 * workload.profiles) + 1)).__next__
        drawn = dice.choices(names, shares, k=_BODIES_AHEAD - 1)
        self._next_body = itertools.cycle([None if name == "Order Refunded" else dice.choice(made[name]) for name in drawn]).__next__
        self._next_repeat = itertools.cycle([dice.random() < workload.duplicates for _ in range(_BODIES_AHEAD - 5)]).__next__
        self._viewed = made["Product Viewed"]
        self._number = 0
        self._recent: list[Sent] = []
        self._orders: list[tuple[bytes, bytes, templates.Template]] = []

    def seeds(self, numbers: Iterator[int]) -> Iterator[Sent]:
        """One `Product Viewed` for each of the given users, some days back."""
        dice, spread_ms = random.Random(self._workload.seed + 1), self._workload.seed_spread_s * 1000
        now_ms = int(time.time() * 1000)
        for number in numbers:
            stamp = iso(now_ms - int(dice.random() * spread_ms)).encode()
            user, template = self._users[number], dice.choice(self._viewed)
            yield Sent(template.topic, user, template.text % (b"s%09d" % number, user, user, stamp, stamp))

    def batch(self, count: int, now_ms: int) -> list[Sent]:
        """The next events, all of one moment.

        Args:
            count: how many.
            now_ms: their event time.
        """
        stamp = iso(now_ms).encode()
        found: list[Sent] = []
        recent = self._recent
        for _ in range(count):
            if self._next_repeat() and recent:
                found.append(recent[self._number % len(recent)])
                continue
            self._number += 1
            name = b"m%010d" % self._number
            template, user = self._next_body(), self._next_user()
            if template is None:
                sent = self._refund(name, user, stamp)
            elif template.name in templates.PLAIN:
                sent = Sent(template.topic, user, template.text % (name, user, user, stamp, stamp))
            else:
                sent = Sent(template.topic, user, template.text % (name, user, user, stamp, stamp, name))
                if template.name == "Order Completed":
                    self._remember(user, name, template)
            found.append(sent)
            if len(recent) < _RECENT:
                recent.append(sent)
            else:
                recent[self._number % _RECENT] = sent
        return found

    def _refund(self, name: bytes, user: bytes, stamp: bytes) -> Sent:
        """Give back the first line of an order of a while ago; a view, as long as nobody has ordered."""
        if not self._orders:
            template = self._viewed[0]
            return Sent(template.topic, user, template.text % (name, user, user, stamp, stamp))
        buyer, order, template = self._orders[self._number % len(self._orders)]
        refund = self._refunds[template.text]
        return Sent(refund.topic, buyer, refund.text % (name, buyer, buyer, stamp, stamp, name, order))

    def _remember(self, user: bytes, order: bytes, template: templates.Template) -> None:
        if len(self._orders) < _RECENT:
            self._orders.append((user, order, template))
        else:
            self._orders[self._number % _RECENT] = (user, order, template)

    def _draw_users(self, count: int) -> list[bytes]:
        """Users by Zipf's law: the k-th is drawn with a probability in proportion to k^-zipf."""
        exponent, users, dice = self._workload.zipf, self._users, self._dice
        shares = list(itertools.accumulate((rank + 1) ** -exponent for rank in range(len(users))))
        return [users[bisect_left(shares, dice.random() * shares[-1])] for _ in range(count)]


def mean_bytes(workload: Workload) -> float:
    """Mean length of the stream's events, from a sample.

    Raises:
        WorkloadError: it is below what the workload promises.
    """
    sample = Events(msgspec.structs.replace(workload, profiles=1_000)).batch(_SAMPLE, int(time.time() * 1000))
    mean = sum(len(sent.value) for sent in sample) / len(sample)
    if mean < workload.least_mean_bytes:
        raise WorkloadError(f"the mean event has {mean:.0f} bytes, fewer than {workload.least_mean_bytes}")
    return mean
