"""Check 1: every raw record ends exactly once (docs/contracts.md, I1)."""

from collections.abc import Iterator, Mapping

import numpy as np

from cli.audit.compare import Array, difference
from cli.audit.evidence import CleanEvidence, RawEvidence
from cli.audit.report import Check

Part = tuple[str, int]


def conservation(
    raw: RawEvidence, clean: CleanEvidence, sources: list[str], ends: Mapping[Part, int], processed: Mapping[Part, int]
) -> Iterator[Check]:
    """One check per raw topic partition.

    Args:
        raw: the raw topics up to their ends.
        clean: the clean topics.
        sources: raw topics.
        ends: end of each raw partition when the check began; what came later is not looked at.
        processed: offset below which the job says it has processed a partition: what is missing there is lost, beyond it is only late.
    """
    records, ticks, found = raw.records.arrays(), raw.ticks.arrays(), clean.accounted()
    classes = {topic.removeprefix("cdp."): columns.arrays() for topic, columns in clean.positions.items()}
    for (source, partition), end in sorted(ends.items()):
        key = (sources.index(source), partition, end)
        here, seen = _of(records, key), _of(found, key)
        gap = difference([here], [seen])
        done = processed.get((source, partition), 0)
        lost = [offset for (offset,) in gap.missing if offset < done]
        late = len(gap.missing) - len(lost)
        differences = [f"offset {offset}: came out nowhere" for offset in lost]
        differences += [f"offset {offset}: came out although it is a tick or not there" for (offset,) in gap.extra]
        differences += [f"offset {offset}: came out more than once" for (offset,) in gap.twice]
        counts = ", ".join(f"{len(_of(columns, key)):,} {name}" for name, columns in classes.items())
        note = f"{counts}; {len(_of(ticks, key)):,} ticks"
        if late:
            note += f"; {late:,} not processed yet: is job `profiles` running?"
        yield Check(f"{source}/{partition}", len(here), len(seen), differences, note, known=not late)
    strangers = int(np.sum(found[0] < 0))
    if strangers:
        yield Check("raw topics", 0, strangers, [f"{strangers} records come from topics that config/topics.yaml does not call raw"])


def missing(raw: RawEvidence, clean: CleanEvidence) -> int:
    """How many raw records have not come out yet."""
    return len(difference(raw.records.arrays(), clean.accounted()).missing)


def _of(columns: list[Array], key: tuple[int, int, int]) -> Array:
    source, partition, end = key
    mine: Array = columns[2][(columns[0] == source) & (columns[1] == partition) & (columns[2] < end)]
    return mine
