"""The search for the sustained rate: hold one after the other, from below, until some consumer falls behind."""

import time
from collections.abc import Callable
from typing import Final

import msgspec

from bench import cpu, lag
from bench.children import Load
from bench.climb import climb
from bench.cluster import JOB, Busy, Cluster, Vertex
from bench.lag import Watch
from bench.result import Try
from bench.workload import Plan

SUSTAINED: Final = "sustained"
JOB_GROUP: Final = f"cdp-{JOB}"
EVERY_S: Final = 0.5
TROUBLE_EVERY_S: Final = 5.0
SETTLING_S: Final = 8.0
DRAIN_S: Final = 120.0
MOST_BEHIND_S: Final = 6.0
SHORTFALL: Final = 0.99


class InvalidError(RuntimeError):
    """What happened makes the figures worthless."""


class Held(msgspec.Struct, frozen=True):
    """A rate that was held, to the end or until it turned out to be too high.

    Attributes:
        events_per_s: sent.
        events: that went through during the hold.
        spent: CPU time during the hold.
        busy: stage -> mean load of its task.
    """

    events_per_s: float
    events: int
    spent: cpu.Spent
    busy: dict[str, Busy]


class Search:
    """Holds rates.

    Args:
        plan: how long, and how much growth is allowed.
        load: the generator.
        watch: the consumers' lag.
        cluster: the job.
        vertices: its tasks.
        stages: processes whose CPU time counts, by stage.
        say: told what happens.
    """

    def __init__(
        self,
        plan: Plan,
        load: Load,
        watch: Watch,
        cluster: Cluster,
        vertices: list[Vertex],
        stages: dict[str, list[int]],
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._load = load
        self._watch = watch
        self._cluster = cluster
        self._vertices = vertices
        self._stages = stages
        self._say = say
        self._span_s = min(lag.SMOOTH_S, plan.hold_s / 4)
        self._next_check = 0.0
        self.tries: list[Try] = []
        self.broken_off: Held | None = None

    def find(self, first: float, *, only: bool = False) -> Held | None:
        """Find the highest rate that holds, within the plan's time; a slow machine gets as much as it takes for one to hold.

        Args:
            first: rate to begin with.
            only: try no other rate.

        Returns:
            What was held, or None when nothing was.

        Raises:
            InvalidError: the job was restarted, or the broker refused events.
        """
        if only:
            return self._try(first)
        plan = self._plan
        until = time.monotonic() + plan.search_s - plan.warm_up_s - plan.hold_s
        best = climb(first, self._rung, lambda: time.monotonic() < until, plan.step, plan.close)
        return best[1] if best else None

    def _rung(self, rate: float) -> Held | None:
        held = self._try(rate)
        if held is None:
            self.drain(rate / 2, time.monotonic() + DRAIN_S)
        return held

    def drain(self, rate: float, until: float) -> None:
        """Silence, until everybody is less than a second behind at this rate."""
        self._load.rate(0)
        while time.monotonic() < until:
            samples = [sample for name in self._watch.names if (sample := self._watch.last(name))]
            if all(sample.lag < rate for sample in samples):
                return
            self.check()
            time.sleep(EVERY_S)

    def check(self) -> None:
        """Look, now and then, whether the job is still the one that was started.

        Raises:
            InvalidError: it is not.
        """
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + TROUBLE_EVERY_S
            if trouble := self._cluster.trouble():
                raise InvalidError(trouble)

    def _try(self, rate: float) -> Held | None:
        self._say(f"{rate:.0f} events/s: warming up for {self._plan.warm_up_s:.0f} s")
        self._load.rate(rate)
        began = time.monotonic()
        settled = began + min(SETTLING_S, self._plan.warm_up_s / 3)
        # Falling behind shows early; a rate that does it in the warm-up is not worth the rest of the time.
        why = self._wait(self._plan.warm_up_s, settled, 2 * self._plan.growth_s)
        why = why or self._is_behind(time.monotonic() - self._plan.warm_up_s / 4)
        if why:
            self._failed(rate, 0.0, settled, f"in the warm-up {why}")
            return None
        self._say(f"{rate:.0f} events/s: holding for {self._plan.hold_s:.0f} s")
        report, before, began = self._load.report(), cpu.usage(self._stages), time.monotonic()
        loads: dict[str, list[Busy]] = {}
        why = self._wait(self._plan.hold_s, began, self._plan.growth_s, loads)
        after, end = cpu.usage(self._stages), self._load.report()
        spent, events = cpu.spent(before, after), end.sent - report.sent
        busy = {stage: _mean(found) for stage, found in loads.items()}
        sent_per_s = events / (end.at - report.at)
        if why:
            self._failed(rate, time.monotonic() - began, began, why)
            through = lag.rate(self._watch.since(JOB_GROUP, began), of="done") * spent.seconds
            self.broken_off = Held(sent_per_s, int(through), spent, busy)
            return None
        if end.failed:
            raise InvalidError(f"the broker refused {end.failed} events")
        if sent_per_s < SHORTFALL * rate:
            self._failed(rate, self._plan.hold_s, began, f"the load generator reached {sent_per_s:.0f} events/s: the processor is full")
            return None
        self._note(rate, self._plan.hold_s, began, SUSTAINED)
        return Held(sent_per_s, events, spent, busy)

    def _wait(self, duration_s: float, since: float, allowed_s: float, loads: dict[str, list[Busy]] | None = None) -> str:
        """Wait; returns early, with the reason, when a lag grows by more than is allowed."""
        until = time.monotonic() + duration_s
        next_load = 0.0
        while (now := time.monotonic()) < until:
            for name in self._watch.names:
                growth_s = lag.growth_s(self._watch.since(name, since), self._span_s)
                if growth_s > allowed_s:
                    return f"the lag of {name} grew by {growth_s:.1f} s of input within {now - since:.0f} s"
            self.check()
            if loads is not None and now >= next_load:
                next_load = now + TROUBLE_EVERY_S
                for vertex in self._vertices:
                    if vertex.stage:
                        loads.setdefault(vertex.stage, []).append(self._cluster.busy(vertex))
            time.sleep(min(EVERY_S, max(0.0, until - time.monotonic())))
        return ""

    def _is_behind(self, since: float) -> str:
        for name in self._watch.names:
            behind_s = lag.behind_s(self._watch.since(name, since))
            if behind_s > MOST_BEHIND_S:
                return f"{name} was {behind_s:.1f} s behind at the end"
        return ""

    def _failed(self, rate: float, held_s: float, since: float, why: str) -> None:
        self._note(rate, held_s, since, why)
        self._say(f"{rate:.0f} events/s: not sustained: {why}")

    def _note(self, rate: float, held_s: float, since: float, verdict: str) -> None:
        samples = {name: self._watch.since(name, since) for name in self._watch.names}
        growth = {name: lag.growth_s(found, self._span_s) for name, found in samples.items()}
        self.tries.append(Try(rate, held_s, growth, {name: lag.behind_s(found) for name, found in samples.items()}, verdict))


def _mean(found: list[Busy]) -> Busy:
    count = len(found)
    return Busy(*(sum(getattr(one, name) for one in found) / count for name in Busy.__struct_fields__))
