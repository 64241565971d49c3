"""An independent, brute-force answer to what the stream must compute: written from `docs/contracts.md` and `docs/features.md` alone.

It shares no line with the pipelines, holds the whole log in memory, and prefers the obvious loop to the fast one.
"""

from tests.oracle.log import Judged, Log, Position, RawRecord
from tests.oracle.profile import Profiles
from tests.oracle.rulebook import CutPoints, Rulebook

__all__ = ["CutPoints", "Judged", "Log", "Position", "Profiles", "RawRecord", "Rulebook"]
