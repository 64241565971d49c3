"""Where the bridge goes on: the further of two memories, never before the log and never beyond it."""

import pytest

from importers.cdc.progress import Found, LogCutError, resume

PLACE = ("erp.public.orders", 1)


@pytest.mark.parametrize(
    ("found", "offset"),
    [
        (Found(committed=-1, kept=-1, low=7, high=90), 7),
        (Found(committed=40, kept=40, low=7, high=90), 40),
        (Found(committed=-1, kept=40, low=7, high=90), 40),
        (Found(committed=10, kept=40, low=7, high=90), 40),
        (Found(committed=50, kept=40, low=7, high=90), 50),
        (Found(committed=3, kept=-1, low=7, high=90), 7),
        (Found(committed=90, kept=90, low=7, high=90), 90),
    ],
)
def test_the_further_memory_counts(found: Found, offset: int) -> None:
    assert resume(PLACE, found) == offset


@pytest.mark.parametrize("found", [Found(91, -1, 7, 90), Found(-1, 91, 7, 90)])
def test_a_log_that_lost_its_end_is_refused(found: Found) -> None:
    with pytest.raises(LogCutError, match=r"partition 1 ends at offset 90, but was read up to 91.*`cdp offsets reset cdc`"):
        resume(PLACE, found)
