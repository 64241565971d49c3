"""How far a job is in the topics it reads: what is left, and whether the log still reaches that far."""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import OffsetSpec

from config import loader
from pipelines.history.tables import TABLES
from stack import topics
from stack.errors import RefusedError, StackError
from stack.jobs import Job

Place = tuple[str, int]


class Position(NamedTuple):
    """A partition that a job reads. `committed` is -1 where it has committed nothing."""

    topic: str
    partition: int
    committed: int
    begin: int
    end: int

    @property
    def behind(self) -> int:
        """Records that are left to read, or to be committed."""
        return max(0, self.end - (self.committed if self.committed >= 0 else self.begin))

    @property
    def is_cut(self) -> bool:
        """Whether the log ends before what was read of it: the broker has lost its end."""
        return self.committed > self.end


def topics_of(job: Job) -> list[str]:
    """The topics a job reads by today's configuration (`reads` in config/jobs.yaml)."""
    sources = loader.sources().values()
    words = {
        "raw": loader.topics().raw(),
        "clean": list(TABLES),
        "tables": [name for source in sources if source.tables for name in (*source.tables, source.schema_changes) if name],
    }
    return list(dict.fromkeys(name for word in job.reads for name in words.get(word, [word])))


def positions(job: Job, bootstrap: str | None = None) -> list[Position] | None:
    """Where a job stands in the topics it reads; None where nothing can be said: it has no group, never committed, or Kafka is away.

    What the group remembers of topics that the job no longer reads does not count; a topic it has not begun to read does.
    """
    if not job.group:
        return None
    admin = topics.connect(bootstrap)
    reader = Consumer({"bootstrap.servers": bootstrap or loader.platform().kafka.bootstrap, "group.id": job.group, "log_level": 0})
    try:
        there = admin.list_topics(timeout=topics.TIMEOUT_S).topics
        read = {name: there[name].partitions for name in topics_of(job) if name in there}
        # The client may crash when it is asked for offsets of a partition that has no leader yet.
        places = [(name, number) for name, parts in read.items() for number, part in parts.items() if part.leader >= 0]
        found = reader.committed([TopicPartition(*place) for place in places], timeout=topics.TIMEOUT_S) if places else []
        committed = {(part.topic, part.partition): part.offset for part in found if part.offset >= 0}
        if not committed:
            return None
        begins = topics.offsets(admin, places, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        ends = topics.offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    except KafkaException:
        return None  # Kafka is starting: a status line is no place to fail
    finally:
        reader.close()
    return [Position(*place, committed.get(place, -1), begins[place], ends[place]) for place in places]


def waiting(behind: Sequence[Position], bootstrap: str | None = None) -> list[Position]:
    """Those of the positions at which a committed record lies that a job of this platform is free to read.

    Behind the last record there may be marks of transactions alone, and a topic far ahead of the others in log time waits until they
    come.

    Args:
        behind: partitions of which something is left.
        bootstrap: the broker; by default the platform's.
    """
    places = [TopicPartition(one.topic, one.partition, max(one.committed, one.begin)) for one in behind]
    reader = Consumer(
        {
            "bootstrap.servers": bootstrap or loader.platform().kafka.bootstrap,
            "group.id": "cdp-looking",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "log_level": 0,
        }
    )
    try:
        held = topics.held(topics.connect(bootstrap))
        reader.assign([place for place in places if place.topic not in held])
        open_ones, found = {(place.topic, place.partition) for place in places if place.topic not in held}, set()
        deadline = time.monotonic() + topics.TIMEOUT_S
        while open_ones and time.monotonic() < deadline:
            for message in reader.consume(1_000, 0.2):
                place = str(message.topic()), int(message.partition() or 0)
                open_ones.discard(place)
                if message.error() is None:
                    found.add(place)
    except KafkaException:
        return []  # Kafka is away: that is said elsewhere
    finally:
        reader.close()
    return [one for one in behind if (one.topic, one.partition) in found]


def topic_ids(names: list[str], bootstrap: str | None = None) -> dict[str, str]:
    """Ids that Kafka gave topics when they were made; those that are missing are left out.

    Raises:
        StackError: Kafka does not answer.
    """
    admin = topics.connect(bootstrap)
    try:
        there = admin.list_topics(timeout=topics.TIMEOUT_S).topics
        wanted = [name for name in names if name in there]
        futures = admin.describe_topics(TopicCollection(wanted), request_timeout=topics.TIMEOUT_S) if wanted else {}
        return {name: str(future.result().topic_id) for name, future in futures.items()}
    except KafkaException as error:
        raise StackError(f"Kafka does not answer: {error.args[0].str()}", "start it with `cdp up`") from error


def refuse_cut(job: str, found: list[Position] | None) -> None:
    """Refuse a start whose offsets the log does not reach.

    Raises:
        RefusedError: the log of a topic ends before what the job has read of it.
    """
    cut = [position for position in found or [] if position.is_cut]
    if cut:
        said = ", ".join(f"{one.topic} partition {one.partition} ends at {one.end}, read up to {one.committed}" for one in cut)
        raise RefusedError(
            f"the broker has lost the end of its log: {said}",
            f"bring the broker's data back from a backup. Job {job} would otherwise read from the beginning again, or skip what is written "
            "at those offsets from now on; without a backup the way on is a new stack (`cdp down --wipe`), fed from the sources again",
        )


def refuse_made_anew(job: str, known: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Refuse a start from offsets of a topic that was made anew since.

    Args:
        job: its name.
        known: topics and their ids as of the job's last start.
        now: as they are.

    Raises:
        RefusedError: a topic is another one, or gone.
    """
    other = [name for name, was in known.items() if name in now and now[name] != was]
    if other:
        raise RefusedError(
            f"{', '.join(other)} was deleted and made anew since job {job} last ran: its offsets mean other records now",
            "bring the broker's data back from a backup; without one the way on is a new stack (`cdp down --wipe`)",
        )
