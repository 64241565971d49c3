"""How far the loader is, kept beside the rows themselves.

The consumer group is the fence and the first to know; but Kafka forgets a group that nobody has used for long, a group can be deleted, and
either store may come back from an older backup. So each plan is also written to the table `history_marks`, after the group has taken it and
before its rows are inserted. Whoever takes a partition over compares the two (`resume`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from pipelines.history.plan import Mark, Partition, Range, done, planned

TABLE: Final = "history_marks"
CREATE: Final = (
    f"CREATE TABLE IF NOT EXISTS {TABLE} (topic LowCardinality(String), "
    "topic_id LowCardinality(String) COMMENT 'Kafka gives a topic made anew another one', partition UInt32, "
    "start UInt64 COMMENT 'first offset of the newest planned range', `end` UInt64 COMMENT 'the offset after it', "
    "mend_until UInt64 COMMENT 'rows of records below this offset may be there already', at DateTime64(3, 'UTC') DEFAULT now64(3)) "
    "ENGINE = ReplacingMergeTree(start) ORDER BY (topic, topic_id, partition)"
)
"""Statement that makes the table. The greatest start wins: an owner that was replaced can only write what is older or the same."""


class LogCutError(Exception):
    """The log ends before the place up to which its records are loaded; the message names the remedy."""


class Server(Protocol):
    """What is needed of ClickHouse."""

    def rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run a query."""

    def command(self, statement: str, settings: Mapping[str, str] | None = None) -> None:
        """Run a statement."""


class Resumed(NamedTuple):
    """Where to go on, and a sentence about it where that is not what the group says."""

    mark: Mark
    note: str = ""


def resume(part: Partition, group: Mark | None, kept: Mark | None, low: int, high: int) -> Resumed:
    """Where a partition is to be read from.

    Args:
        part: the partition.
        group: what the consumer group remembers; None: nothing.
        kept: what `history_marks` says of this very topic; None: nothing.
        low: first offset of the log.
        high: the offset after its last record.

    Raises:
        LogCutError: the log does not reach that far any more.
    """
    if group is None and kept is None:
        return Resumed(done(low))
    reach = max(mark.plan.end if mark.plan else mark.offset for mark in (group, kept) if mark)
    if reach > high:
        raise LogCutError(
            f"{part.topic} partition {part.number} ends at offset {high}, but its records up to {reach} are loaded: the broker has lost "
            "the end of its log. Bring it back from a backup, or go on with what is written from now on: stop job history, then "
            "`cdp offsets reset history`"
        )
    found = _newest(group, kept or done(low))
    if found.mark.offset < low:
        return Resumed(
            done(max(low, reach)), f"the log begins at {low}, after {found.mark.offset}: what was cut off cannot be looked at again"
        )
    return found


def _newest(group: Mark | None, kept: Mark) -> Resumed:
    end = kept.plan.end if kept.plan else kept.offset
    if group is None:
        return Resumed(kept, "the consumer group remembers nothing; going on from what ClickHouse says is loaded")
    if group.offset < end and not (group.offset == kept.offset and group.plan):  # by itself it moves from a plan's start to its end
        return Resumed(kept, f"the consumer group went back to {group.offset}; going on from what ClickHouse says is loaded")
    if group.offset > end:
        # Marks are written before rows, so there may be rows of what lies between all the same: each is looked for.
        until = max(kept.mend_until, group.plan.end if group.plan else group.offset)
        why = f"ClickHouse knows of rows up to {end} only, the consumer group says {group.offset}: looking for those between"
        return Resumed(Mark(kept.offset, None, until), why)
    # A plan of the group from the same start but with another end was made after ClickHouse came back from a backup.
    replanned = group.plan is not None and group.offset == kept.offset and group.plan != kept.plan
    return Resumed(group._replace(mend_until=max(kept.mend_until, end) if replanned else kept.mend_until))


def read(server: Server, topic_ids: Mapping[str, str]) -> dict[Partition, Mark]:
    """The newest mark of each partition.

    Args:
        server: ClickHouse.
        topic_ids: topics and their present ids.
    """
    newest = "argMax((start, `end`, mend_until), (start, at))"
    query = f"SELECT topic, topic_id, partition, {newest} AS mark FROM {TABLE} GROUP BY topic, topic_id, partition"
    found = {}
    for row in server.rows(query):
        if topic_ids.get(row["topic"]) == row["topic_id"]:
            start, end, mend_until = (int(number) for number in row["mark"])
            mark = planned(Range(start, end)) if end > start else done(start)
            found[Partition(row["topic"], int(row["partition"]))] = mark._replace(mend_until=mend_until)
    return found


def write(server: Server, marks: Mapping[Partition, Mark], topic_ids: Mapping[str, str]) -> None:
    """Keep plans that the group has taken.

    Args:
        server: ClickHouse.
        marks: plans.
        topic_ids: ids of their topics.
    """
    rows = [
        f"('{part.topic}', '{topic_ids[part.topic]}', {part.number}, {mark.plan.start}, {mark.plan.end}, {mark.mend_until})"
        for part, mark in marks.items()
        if mark.plan
    ]
    if rows:
        server.command(f"INSERT INTO {TABLE} (topic, topic_id, partition, start, `end`, mend_until) VALUES {', '.join(rows)}")


def reset(server: Server, part: Partition, topic_id: str, start: int, mend_until: int) -> None:
    """Let a partition go on from an offset, whatever was kept of it; no loader may run meanwhile.

    Args:
        server: ClickHouse.
        part: the partition.
        topic_id: present id of its topic.
        start: the offset.
        mend_until: rows of records below this offset may be there already.
    """
    this = f"topic = '{part.topic}' AND partition = {part.number}"
    server.command(f"ALTER TABLE {TABLE} DELETE WHERE {this}", {"mutations_sync": "2"})
    row = f"('{part.topic}', '{topic_id}', {part.number}, {start}, {start}, {mend_until})"
    server.command(f"INSERT INTO {TABLE} (topic, topic_id, partition, start, `end`, mend_until) VALUES {row}")


def forget(server: Server, topics: Sequence[str]) -> None:
    """Their tables are new: nothing of these topics is loaded."""
    names = ", ".join(f"'{topic}'" for topic in topics)
    server.command(f"ALTER TABLE {TABLE} DELETE WHERE topic IN ({names})", {"mutations_sync": "2"})
