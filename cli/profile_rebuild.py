"""Fill Redis again from `cdp.profile.changes`."""

from collections.abc import Callable, Iterator

from cli.audit.evidence import CHANGES, CleanEvidence
from cli.audit.topics import Reader
from config import loader
from profile_store.patch import Patch
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
        record = clean.decode(message)
        features = record["features"].encode()
        # A change does not carry the epochs of its nodes. 0 is below every epoch: it fills what is missing and moves nothing.
        nodes = [(namespace, value, 0) for _, namespace, value in (node.split("|", 2) for node in record["nodes"])]
        key = (record["tenant"], record["profile_id"], record["incarnation"], record["version"])
        yield Patch(*key, 0, record["at"], features, [], nodes)
