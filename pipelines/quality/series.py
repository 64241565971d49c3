"""Counts of every series, minute by minute: the newest minutes as they are, what lies before them as a fading sum."""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pipelines.quality.slices import Group, SeriesKey
from pipelines.quality.statistics import Floats, as_floats, dispersion

WINDOWS: Final = (1, 2, 5, 15)
"""Lengths, in minutes, of the recent samples that are compared with the baseline."""
GAP: Final = max(WINDOWS)
"""Minutes that a count waits before it becomes baseline: no recent sample is compared with itself."""
RING: Final = 2 * GAP + 1
HALF_LIFE: Final = 45
"""Minutes after which a minute counts half in the baseline: short against a day's tides, long against a sample."""
MEMORY: Final = 8 * HALF_LIFE + RING
"""Minutes back that matter (what is older has less than 0.4 % of its weight): so far back a restarted job reads."""
NOTHING: Final = 0.01
_FADE: Final = 0.5 ** (1 / HALF_LIFE)

Rows = npt.NDArray[np.int64]


class Series:
    """Counts of all series up to one minute. It is a function of the last `MEMORY` minutes and of what was disturbed in them.

    Attributes:
        minute: the newest minute that was added; -1: none.
        keys: what each row is.
        groups: group of each group number.
        group_of: row -> group number.
        changes: grows whenever rows come or go.
    """

    def __init__(self) -> None:
        self.minute = -1
        self.changes = 0
        self.keys: list[SeriesKey] = []
        self.groups: list[Group] = []
        self.group_of: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._rows: dict[SeriesKey, int] = {}
        self._group_numbers: dict[Group, int] = {}
        self._passed = np.zeros((RING, 0))
        self._total = np.zeros((RING, 0))
        self._bad = np.zeros((RING, 0), bool)
        # Fading sums over the windows that end in the baseline: passed, total, passed^2 / total, number of windows.
        self._base = np.zeros((len(WINDOWS), 4, 0))
        self._minutes = np.zeros(0)

    def __len__(self) -> int:
        return len(self.keys)

    def forget(self) -> None:
        """Drop series that have had no events for as long as matters: versions of apps come and go. Rows change their numbers."""
        used = (self._total.sum(axis=0) > 0) | (self._base[0, 1] > NOTHING)
        if used.all():
            return
        self.keys = [key for key, kept in zip(self.keys, used, strict=True) if kept]
        self._rows = {key: row for row, key in enumerate(self.keys)}
        self.group_of = self.group_of[used]
        self._passed, self._total, self._base = self._passed[:, used], self._total[:, used], self._base[:, :, used]
        self.changes += 1

    def rows(self, keys: Sequence[SeriesKey]) -> Rows:
        """Rows of series; those not known yet get one."""
        known = self._rows
        for key in keys:
            if key not in known:
                known[key] = len(known)
                self.keys.append(key)
        added = len(known) - self._passed.shape[1]
        if added:
            self.changes += 1
            numbers = [self._group_number(key.group) for key in self.keys[-added:]]
            self.group_of = np.concatenate([self.group_of, np.array(numbers, np.int64)])
            self._passed, self._total = (np.pad(ring, ((0, 0), (0, added))) for ring in (self._passed, self._total))
            self._base = np.pad(self._base, ((0, 0), (0, 0), (0, added)))
        return np.array([known[key] for key in keys], np.int64)

    def _group_number(self, group: Group) -> int:
        found = self._group_numbers.get(group)
        if found is None:
            found = self._group_numbers[group] = len(self.groups)
            self.groups.append(group)
            self._bad = np.pad(self._bad, ((0, 0), (0, 1)))
            self._minutes = np.pad(self._minutes, (0, 1))
        return found

    def add(self, minute: int, rows: Rows, passed: npt.ArrayLike, total: npt.ArrayLike, disturbed: Iterable[Group] = ()) -> None:
        """Take the counts of the next minute; minutes that were left out had none.

        Args:
            minute: number of the minute since the epoch, greater than any before.
            rows: series, each at most once; all others count nothing.
            passed: of these.
            total: of these.
            disturbed: groups with an alert: what is worse than usual must not become the usual.
        """
        if self.minute < 0:
            self.minute = minute - 1
        empty = minute - self.minute - 1
        for _ in range(min(empty, RING)):
            self._step(self.minute + 1)
        if empty > RING:
            faded = _FADE ** (empty - RING)
            self._base *= faded
            self._minutes = self._minutes * faded + (1 - faded) / (1 - _FADE)
            self.minute = minute - 1
        self._step(minute)
        at = minute % RING
        self._passed[at, rows], self._total[at, rows] = as_floats(passed), as_floats(total)
        for group in disturbed:
            self.disturb(group, minute, minute)

    def disturb(self, group: Group, first: int, last: int) -> None:
        """Minutes of a group that shall not become its baseline, as far as they have not yet."""
        number = self._group_numbers.get(group)
        if number is not None:
            for minute in range(max(first, self.minute - RING + 1), min(last, self.minute) + 1):
                self._bad[minute % RING, number] = True

    def _step(self, minute: int) -> None:
        """Move on by one minute without counts; the oldest of the recent ones becomes baseline."""
        self.minute = minute
        self._passed[minute % RING] = self._total[minute % RING] = 0
        self._bad[minute % RING] = False
        self._base *= _FADE
        bad = np.zeros(len(self.groups), bool)
        self._minutes = self._minutes * _FADE + ~self._bad[(minute - GAP) % RING]
        passed, total, counted = np.zeros(len(self)), np.zeros(len(self)), 0
        for number, window in enumerate(WINDOWS):
            while counted < window:
                at = (minute - GAP - counted) % RING
                passed, total, bad = passed + self._passed[at], total + self._total[at], bad | self._bad[at]
                counted += 1
            use = (total > 0) & ~bad[self.group_of]
            sums = np.array([passed, total, passed * passed / np.maximum(total, 1), use])
            self._base[number] += np.where(use, sums, 0)

    def recent(self, window: int, ago: int = 0) -> tuple[Floats, Floats]:
        """Passed and total of every series over the `window` minutes that ended `ago` minutes ago; together at most `RING` minutes."""
        at = [(self.minute - ago - back) % RING for back in range(window)]
        return self._passed[at].sum(axis=0), self._total[at].sum(axis=0)

    def disturbed(self, window: int) -> npt.NDArray[np.bool_]:
        """Whether the recent sample of every series holds minutes that an alert has dealt with."""
        at = [(self.minute - back) % RING for back in range(window)]
        found: npt.NDArray[np.bool_] = self._bad[at].any(axis=0)[self.group_of]
        return found

    def baseline(self) -> tuple[Floats, Floats, Floats]:
        """Faded passed and total of every series, and how many minutes with counts they are worth."""
        return self._base[0, 0], self._base[0, 1], self._base[0, 3]

    def baseline_minutes(self) -> Floats:
        """How many minutes, with counts or without, every series' baseline is worth."""
        return self._minutes[self.group_of]

    def dispersion(self, window: int, rows: Rows) -> Floats:
        """How much more samples of so many minutes vary than binomial ones, for some series; see `statistics.dispersion`."""
        passed, total, squares, count = self._base[WINDOWS.index(window)][:, rows]
        # Windows overlap: they hold fewer samples than there are of them.
        return dispersion(squares / window, passed / window, total / window, count / window)
