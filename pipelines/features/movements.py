"""Purchases of one product and the refunds that name no order: which refund lines find nothing to take back (docs/features.md).

A refund takes units that were bought before it, whichever: only how many are there at its time decides whether it finds any. So the
movements are gone through once by time. The newest are kept one by one, older ones as what came of them.
"""

from bisect import bisect_left
from typing import Final

import msgspec

MAX_KEPT: Final = 256
PURCHASE: Final = 0
REFUND: Final = 1


class Movement(msgspec.Struct, array_like=True, order=True, frozen=True):
    """A purchase (one number: its units) or a refund (a number for each line), in the order in which they are gone through."""

    time: int
    kind: int
    document: str
    numbers: tuple[int, ...] = ()


class Movements(msgspec.Struct, array_like=True):
    """What is known of one product.

    Attributes:
        kept: the newest movements, in order.
        until: key of the newest one that is settled; None: none is.
        stock: units that were there after the settled ones.
        lost: refund lines among the settled ones that found nothing.
        refunds: refunds there have been, settled ones included.
        unmatched: refund lines that find nothing, settled ones included.
    """

    kept: list[Movement] = []
    until: Movement | None = None
    stock: int = 0
    lost: int = 0
    refunds: int = 0
    unmatched: int = 0

    def replace(self, old: Movement | None, new: Movement | None) -> bool:
        """Put a movement in the place of another one; None: there was none, or none is left.

        Returns:
            Whether the result may not be what all movements would give, because older ones than these are settled.
        """
        inexact, had_refunds = False, self.refunds > 0
        if old is not None:
            inexact |= self._remove(old)
        if new is not None:
            inexact |= self._insert(new)
        self.stock = max(0, self.stock)
        while len(self.kept) > MAX_KEPT:
            oldest = self.kept.pop(0)
            self.stock, lost = _passed(self.stock, oldest)
            self.lost += lost
            self.until = Movement(oldest.time, oldest.kind, oldest.document)
        if self.refunds or self.unmatched:
            self._count()
        return inexact and (had_refunds or self.refunds > 0)

    def _settled(self, movement: Movement) -> bool:
        return self.until is not None and (movement.time, movement.kind, movement.document) <= (
            self.until.time,
            self.until.kind,
            self.until.document,
        )

    def _remove(self, old: Movement) -> bool:
        if self._settled(old):
            # What it took or gave is undone as if it was the newest of them, so that telling it anew does not count it a second time; below
            # 0 only until the one that takes its place is there.
            self.stock += sum(old.numbers) if old.kind == REFUND else -sum(old.numbers)
            self.refunds -= old.kind == REFUND
            return True
        at = bisect_left(self.kept, Movement(old.time, old.kind, old.document))
        if at < len(self.kept) and self.kept[at].document == old.document:
            del self.kept[at]
            self.refunds -= old.kind == REFUND
        return False

    def _insert(self, new: Movement) -> bool:
        self.refunds += new.kind == REFUND
        if self._settled(new):
            self.stock, lost = _passed(self.stock, new)
            self.lost += lost
            return True
        self.kept.insert(bisect_left(self.kept, new), new)
        return False

    def _count(self) -> None:
        stock, self.unmatched = self.stock, self.lost
        for movement in self.kept:
            stock, lost = _passed(stock, movement)
            self.unmatched += lost


def _passed(stock: int, movement: Movement) -> tuple[int, int]:
    """Units after a movement, and lines of it that found nothing."""
    if movement.kind == PURCHASE:
        return stock + sum(movement.numbers), 0
    lost = 0
    for number in movement.numbers:
        lost += stock == 0
        stock = max(0, stock - number)
    return stock, lost
