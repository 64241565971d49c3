"""The detector over simulated traffic, without servers; and the figures of docs/quality.md:

python -m tests.unit.quality.detector_over_traffic weeks 1 2 3          # clean weeks: alerts that chance raises
python -m tests.unit.quality.detector_over_traffic drops 20 --least 30  # seeded drops: delay, and whether the cause is right
"""

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from config.quality import AlertRules
from pipelines.quality.alerts import Alert, Span
from pipelines.quality.cause import Leaves
from pipelines.quality.detector import Detector
from pipelines.quality.series import Series
from pipelines.quality.slices import Group, SeriesKey, Slice, slice_of
from tests.simulated_traffic import QUESTIONS, START, WEEK, Drop, Minute, Traffic, random_drop

DIMENSIONS = ("origin", "region", "app_version", "platform", "channel")
PAIRS = (("origin", "region"), ("origin", "app_version"), ("region", "app_version"))
GOALS = {"completeness": 0.9, "validity": 0.95, "consistency": 0.96, "timeliness": 0.9, "volume": 1 / 3}
KEPT_MINUTES = 400


def goal_of(group: Group, _origin: str) -> float | None:
    return GOALS.get(group.measure)


class DeskOverTraffic:
    """Feeds minutes of a simulated world to a detector, as the job does out of ClickHouse."""

    def __init__(self, traffic: Traffic, known: tuple[Alert, ...] = ()) -> None:
        self.traffic = traffic
        self.groups = [Group("demo", question.measure, question.event, question.field) for question in QUESTIONS]  # type: ignore[arg-type]
        self.groups.append(Group("demo", "volume", "", ""))
        self.values = {name: np.array([leaf[name] for leaf in traffic.leaves]) for name in DIMENSIONS}
        slices: dict[Slice, int] = {}
        of_leaf = []
        for names in ((), *((name,) for name in DIMENSIONS), *PAIRS):
            parts = [slice_of((name, leaf[name]) for name in names) for leaf in traffic.leaves]
            of_leaf.append([slices.setdefault(part, len(slices)) for part in parts])
        self._is_in = np.zeros((len(traffic.leaves), len(slices)))  # leaf by slice
        for parts_of_leaves in of_leaf:
            self._is_in[range(len(traffic.leaves)), parts_of_leaves] = 1
        self.series = Series()
        self.detector = Detector(self.series, goal_of, AlertRules(), known)
        self.keys = [SeriesKey(group, part) for group in self.groups for part in slices]
        self._counts: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def take(self, minute: Minute) -> None:
        """Add a minute without judging it."""
        passed, total = np.vstack([minute.good, minute.events]), np.vstack([minute.total, minute.events + minute.last_week])
        self._counts[minute.number] = passed, total
        self._counts.pop(minute.number - KEPT_MINUTES, None)
        sums = [(counts @ self._is_in).ravel() for counts in (passed, total)]
        self.series.add(minute.number, self.series.rows(self.keys), *sums, self.detector.disturbed(minute.number))

    def judge(self, minute: Minute) -> list[Alert]:
        self.take(minute)
        return self.detector.judge(self)

    def leaves(self, group: Group, span: Span, base: Span, without: list[Span]) -> Leaves:
        number = self.groups.index(group)

        def added(part: Span, out: list[Span]) -> list[np.ndarray]:
            found = [
                self._counts[minute]
                for minute in range(part.first, part.last + 1)
                if minute in self._counts and not any(one.first <= minute <= one.last for one in out)
            ]
            return [
                np.sum([counts[side][number] for counts in found], axis=0) if found else np.zeros(len(self.traffic.leaves))
                for side in (0, 1)
            ]

        return Leaves(self.values, *added(span, []), *added(base, without))


class Outcome(NamedTuple):
    """What a drop led to. `delay_s`: from its first second to the end of the minute in which its alert opened; -1: none did in time."""

    drop: Drop
    delay_s: int
    first: Slice | None
    after_two_minutes: Slice | None
    others: int


def watch_drop(seed: int, least: float) -> Outcome:
    """One seeded drop, at a random minute of the second week, over eight hours of warm-up."""
    rng = np.random.default_rng(seed)
    start = START + WEEK + 500 + int(rng.integers(WEEK - 600))
    drop = random_drop(rng, Traffic(seed), start, least)
    watched = DeskOverTraffic(Traffic(seed, drops=(drop,)))
    group, delay_s, others = watched.groups[drop.question], -1, 0
    first = latest = None
    for minute in watched.traffic.minutes(start - 480, 484):
        for alert in watched.judge(minute):
            after_s = (minute.number + 1) * 60 - drop.second
            if alert.group != group or after_s <= 0:
                others += alert.change == "opened"
            elif after_s <= 120:
                first = first if first is not None else alert.causes[0].slice
                delay_s = delay_s if delay_s >= 0 else after_s
                latest = alert.causes[0].slice
    return Outcome(drop, delay_s, first, latest, others)


def clean_week(seed: int, warm_up: int = 600, rate: float = 3000, noise: float = 1) -> Iterator[Alert]:
    """Alerts that open in a week in which nothing happens."""
    watched = DeskOverTraffic(Traffic(seed, rate, noise))
    for minute in watched.traffic.minutes(START + WEEK - warm_up, warm_up + WEEK):
        yield from (alert for alert in watched.judge(minute) if alert.change == "opened")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["weeks", "drops"])
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--least", type=float, default=30, help="events a minute in the part that drops")
    parser.add_argument("--rate", type=float, default=3000, help="events a minute in a clean week")
    parser.add_argument("--noise", type=float, default=1, help="strength of weather and jitter in a clean week")
    arguments = parser.parse_args()
    if arguments.what == "weeks":
        for seed in arguments.seeds:
            alerts = list(clean_week(seed, rate=arguments.rate, noise=arguments.noise))
            print(f"week {seed}: {len(alerts)} alerts", *alerts, sep="\n  ", flush=True)
        return
    delays, first, later = [], 0, 0
    for seed in range(*(arguments.seeds if len(arguments.seeds) > 1 else (0, *arguments.seeds))):
        found = watch_drop(seed, arguments.least)
        truth = slice_of(found.drop.where.items())
        delays += [found.delay_s] if found.delay_s >= 0 else []
        first, later = first + (found.first == truth), later + (found.after_two_minutes == truth)
        told: tuple[Any, ...] = (truth, f"lost {found.drop.lost:.2f}", f"after {found.delay_s} s", found.first, found.after_two_minutes)
        print(seed, *told, "" if found.after_two_minutes == truth else "  <-- not right", flush=True)
    print(f"found {len(delays)}, cause right at once {first}, after two minutes {later}")
    print(f"delay: median {np.median(delays):.0f} s, worst {max(delays)} s")


if __name__ == "__main__":
    main()
