"""Write every profile again from `cdp.profile.changes`, over what Redis holds: mends what somebody else has written there.

What Redis itself loses, job `serve` notices and writes again without being asked.
"""

from collections.abc import Callable, Iterator

from cli.audit.evidence import CHANGES, CleanEvidence
from config import loader
from operations.topics import Reader
from profile_store.patch import Patch, from_record
from profile_store.writer import ProfileWriter, WriteResult
from schemas import clean

BATCH = 500


def rebuild(tell: Callable[[str], None]) -> WriteResult:
    """Write the newest change of every profile, guarded: what Redis holds newer stays, the same version is written again.

    Args:
        tell: takes a line about what goes on.
    """
    platform = loader.platform()
    evidence = CleanEvidence([], list(platform.tenants))
    reader = Reader(platform.kafka.bootstrap, [CHANGES], evidence.take)
    try:
        reader.read_on(lambda count: tell(f"reading {CHANGES}: {count:,}"))
    finally:
        reader.close()
    writer = ProfileWriter(platform.redis.url)
    written = stale = 0
    batch: list[Patch] = []
    total = len(evidence.newest)
    for number, patch in enumerate(_patches(evidence), 1):
        batch.append(patch)
        if len(batch) == BATCH or number == total:
            result = writer.write(batch, repair=True)
            written, stale, batch = written + result.written, stale + result.stale, []
            tell(f"writing profiles: {number:,} of {total:,}")
    return WriteResult(written, stale, 0)


def _patches(evidence: CleanEvidence) -> Iterator[Patch]:
    for _, message in evidence.newest.values():
        yield from_record(clean.decode(message))
