"""The order of tests: those that take longest come first, so that two workers end at about the same time."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest


def reorder(items: list[pytest.Item], below: Path, order: Callable[[Sequence[pytest.Item]], list[pytest.Item]]) -> None:
    """Put the tests below a folder in another order, and leave all others in their places.

    Args:
        items: as pytest has collected them; changed.
        below: the folder.
        order: gives its tests in their new order.
    """
    places = [index for index, item in enumerate(items) if below in item.path.parents]
    for index, item in zip(places, order([items[index] for index in places]), strict=True):
        items[index] = item
