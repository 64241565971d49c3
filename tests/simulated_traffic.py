"""A shop's traffic by the minute, with tides, weather and sudden drops. It shares nothing with the code that is to find the drops.

Three sources (a web shop, two apps) serve eight regions; the apps come in six versions, of which a new one spreads in the course of the
week. Volumes follow day (by the region's time zone) and week, wander by themselves for hours, and jitter from minute to minute more than
Poisson noise does. Shares of good events have a level of their own in every combination, drift with the time of day and with a slow random
walk by region and by version, vary more than coin tosses, and now and then one client sends a handful of bad events at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

REGIONS = ("north", "south", "east", "west", "centre", "coast", "islands", "hills")
VERSIONS = ("5.0", "5.1", "5.2", "5.3", "5.4", "6.0")
ORIGINS = {"web-shop": ("", ("",), "web"), "app-ios": ("ios", VERSIONS, "mobile_app"), "app-android": ("android", VERSIONS, "mobile_app")}
REGION_WEIGHTS = (0.22, 0.18, 0.15, 0.13, 0.11, 0.09, 0.07, 0.05)
VERSION_WEIGHTS = (0.06, 0.1, 0.16, 0.26, 0.42, 0.0)
ORIGIN_WEIGHTS = {"web-shop": 0.4, "app-ios": 0.28, "app-android": 0.32}
KINDS = (("region",), ("app_version",), ("origin",), ("origin", "region"), ("region", "app_version"), ("origin", "app_version"))
"""Kinds of parts of the traffic that drops are in."""
DAY, WEEK = 1440, 10_080
START = 28_401_120
"""A Monday, 00:00 UTC, in minutes since the epoch."""


@dataclass(frozen=True)
class Question:
    """One measure of one field of one event: the share of its events, of all events a minute, that is good on an ordinary day."""

    measure: str
    event: str
    field: str
    share_of_traffic: float
    good: float


QUESTIONS = (
    Question("completeness", "Product Viewed", "product_id", 0.62, 0.9995),
    Question("completeness", "Product Viewed", "category", 0.62, 0.955),
    Question("completeness", "Product Added", "price", 0.14, 0.985),
    Question("completeness", "Order Completed", "order_id", 0.05, 0.999),
    Question("completeness", "Order Completed", "coupon", 0.05, 0.93),
    Question("validity", "Product Viewed", "price", 0.62, 0.992),
    Question("validity", "Order Completed", "total", 0.05, 0.995),
    Question("consistency", "Order Completed", "total_is_sum_of_lines", 0.05, 0.99),
    Question("timeliness", "", "arrival", 1.0, 0.97),
)


@dataclass(frozen=True)
class Drop:
    """From a second on, so much of what was good in a part of the traffic is bad (`where` by dimension; `lost` 0 to 1)."""

    question: int
    where: dict[str, str]
    lost: float
    second: int
    until: int = 1 << 60


@dataclass
class Minute:
    """Counts of one minute by leaf; `good` and `total` have one row per question, `events` and `last_week` one number a leaf."""

    number: int
    good: np.ndarray
    total: np.ndarray
    events: np.ndarray
    last_week: np.ndarray


@dataclass
class Traffic:
    """A seeded world.

    Args:
        seed: of everything random.
        rate: events a minute at the average hour, all sources together.
        noise: how strong weather and jitter are; 1 is ordinary.
        drops: what goes wrong.
        outages: drops of volume: parts of the traffic of which only `1 - lost` arrives.
    """

    seed: int
    rate: float = 3000.0
    noise: float = 1.0
    drops: tuple[Drop, ...] = ()
    outages: tuple[Drop, ...] = ()
    leaves: list[dict[str, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.leaves = [
            {"origin": origin, "region": region, "app_version": version, "platform": platform, "channel": channel}
            for origin, (platform, versions, channel) in ORIGINS.items()
            for region in REGIONS
            for version in versions
        ]
        self._of_origin = np.array([list(ORIGINS).index(leaf["origin"]) for leaf in self.leaves])
        rng = np.random.default_rng(self.seed)
        self._levels = [rng.normal(0, 0.25, len(self.leaves)) for _ in QUESTIONS]
        self._phase = {region: rng.uniform(-90, 90) for region in REGIONS}
        self._tide = [rng.uniform(0, 2 * np.pi) for _ in QUESTIONS]

    def rates(self, minute: int) -> np.ndarray:
        """Events a minute that each leaf would have on an ordinary such day."""
        spread = 0.45 / (1 + np.exp(-(minute - START - WEEK * 1.4) / (DAY * 0.8)))  # the new version comes in the second week
        found = []
        for leaf in self.leaves:
            local = (minute + self._phase[leaf["region"]]) % DAY / DAY
            day = 1 + 0.75 * np.sin(2 * np.pi * (local - 0.4)) + 0.2 * np.sin(4 * np.pi * local)
            weekday = (minute - START) // DAY % 7
            weekend = 1.25 if weekday >= 5 and leaf["origin"] != "web-shop" else 0.8 if weekday >= 5 else 1.0
            number = VERSIONS.index(leaf["app_version"]) if leaf["app_version"] else -1
            version = 1.0 if number < 0 else spread if number == 5 else VERSION_WEIGHTS[number] * (1 - spread)
            found.append(ORIGIN_WEIGHTS[leaf["origin"]] * REGION_WEIGHTS[REGIONS.index(leaf["region"])] * version * day * weekend)
        return self.rate * np.array(found)

    def minutes(self, first: int, count: int) -> Iterator[Minute]:
        """Minutes from `first` on (a number since the epoch). The same world, but not the same dice, when begun elsewhere."""
        rng = np.random.default_rng([self.seed, first])
        walkers = [*REGIONS, *VERSIONS]
        of_region = np.array([walkers.index(leaf["region"]) for leaf in self.leaves])
        # Apps have a version; a web shop has none, and walks with its region alone.
        of_version = np.array([walkers.index(leaf["app_version"]) if leaf["app_version"] else len(walkers) for leaf in self.leaves])
        walks, wander = np.zeros((len(walkers) + 1, len(QUESTIONS))), np.zeros(len(ORIGINS))
        for minute in range(first, first + count):
            if minute % 5 == 0 or minute == first:
                ordinary, ordinary_before = self.rates(minute), self.rates(minute - WEEK)
            walks[:-1] = walks[:-1] * 0.99 + rng.normal(0, 0.015 * self.noise, (len(walkers), len(QUESTIONS)))
            wander = wander * 0.98 + rng.normal(0, 0.02 * self.noise, len(ORIGINS))
            events = self._counts(rng, ordinary, wander, minute)
            before = self._counts(rng, ordinary_before, np.zeros(len(ORIGINS)), minute - WEEK)
            good, total = np.zeros((len(QUESTIONS), len(self.leaves))), np.zeros((len(QUESTIONS), len(self.leaves)))
            for number, question in enumerate(QUESTIONS):
                total[number] = rng.binomial(events, question.share_of_traffic)
                logit = np.log(question.good / (1 - question.good)) + self._levels[number]
                logit += 0.15 * np.sin(2 * np.pi * minute / DAY + self._tide[number])
                logit += walks[of_region, number]
                logit += walks[of_version, number]
                share = 1 / (1 + np.exp(-logit))
                precision = 300 / max(self.noise, 1e-9)
                share = np.clip(rng.beta(share * precision, (1 - share) * precision), 0, 1)
                share *= self._kept(self.drops, number, minute)
                good[number] = rng.binomial(total[number].astype(int), share)
                if rng.random() < 0.02 * self.noise:  # one client with a broken afternoon
                    leaf = int(rng.integers(len(self.leaves)))
                    bad = min(int(rng.integers(2, 7)), int(good[number][leaf]))
                    good[number][leaf] -= bad
            yield Minute(minute, good, total, events, before)

    def _counts(self, rng: np.random.Generator, ordinary: np.ndarray, wander: np.ndarray, minute: int) -> np.ndarray:
        noise = max(self.noise, 1e-9)
        jitter = rng.gamma(200 / noise, noise / 200, len(ORIGINS))
        rates = ordinary * np.exp(wander)[self._of_origin] * jitter[self._of_origin] * self._kept(self.outages, -1, minute)
        return rng.poisson(rates)

    def _kept(self, drops: tuple[Drop, ...], question: int, minute: int) -> np.ndarray:
        kept = np.ones(len(self.leaves))
        for drop in drops:
            if drop.question != question:
                continue
            part = min(1.0, max(0.0, minute + 1 - drop.second / 60)) - min(1.0, max(0.0, minute + 1 - drop.until / 60))
            hit = np.array([all(leaf[name] == value for name, value in drop.where.items()) for leaf in self.leaves])
            kept[hit] *= 1 - drop.lost * part
        return kept


def random_drop(rng: np.random.Generator, traffic: Traffic, minute: int, least: float) -> Drop:
    """A drop in a random part of the traffic that has at least `least` events a minute then."""
    rates = traffic.rates(minute)
    while True:
        kind = KINDS[rng.integers(len(KINDS))]
        leaf = traffic.leaves[rng.integers(len(traffic.leaves))]
        where = {name: leaf[name] for name in kind}
        if "" in where.values():
            continue
        question = int(rng.integers(len(QUESTIONS)))
        inside = [all(one[name] == value for name, value in where.items()) for one in traffic.leaves]
        if rates[inside].sum() * QUESTIONS[question].share_of_traffic >= least:
            return Drop(question, where, float(rng.uniform(0.4, 0.9)), minute * 60 + int(rng.integers(60)))
