"""The topics of `config/topics.yaml` on a broker: create them, tell differences, and choose the raw topics' clock.

Live, raw topics stamp records with the broker's time (`LogAppendTime`); for a replay they keep the producer's (`CreateTime`), so that
the log's own time is the time of the events.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ListOffsetsResultInfo,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from config import loader
from stack import watch
from stack.errors import StackError

CLOCK = "message.timestamp.type"
AHEAD = "message.timestamp.after.max.ms"  # a record whose producer says it is further ahead of the broker's clock is refused
Mode = Literal["live", "replay"]
CLOCKS: dict[str, str] = {"live": "LogAppendTime", "replay": "CreateTime"}
# Given to the requests, not to their futures: these end with a KafkaException then, and not with a TimeoutError that nobody expects.
TIMEOUT_S = 15.0
REMARKS_WITHIN_S = 5.0
DAY_MS = 86_400_000


class TopicState(msgspec.Struct, frozen=True):
    """A topic as the broker has it.

    `records` is end minus begin over all partitions; `uncommitted` those from the oldest open transaction on, which readers of committed
    records do not get yet; `size_bytes` is -1 where the broker's folder is not at hand.
    """

    name: str
    partitions: int
    records: int
    clock: str
    size_bytes: int = -1
    difference: str = ""
    uncommitted: int = 0


def create(bootstrap: str | None = None) -> list[str]:
    """Create the topics that are not there yet.

    Raw ones start with the live clock, or with the one that `CDP_RAW_CLOCK` names (`replay` before a replay into a fresh stack:
    otherwise the ticker has already moved the log's clock to the present).

    Returns:
        What differs from the file in topics that exist (nothing is changed there), one sentence each.

    Raises:
        StackError: the broker does not answer or refuses a topic.
    """
    wanted = loader.topics()
    mode = os.environ.get("CDP_RAW_CLOCK", "live")
    if mode not in CLOCKS:
        raise StackError(f"CDP_RAW_CLOCK={mode} is no clock", "say `live` or `replay`")
    admin = connect(bootstrap)
    there = _metadata(admin)
    new = []
    for name, topic in wanted.topics.items():
        if name not in there:
            clock = {CLOCK: CLOCKS[mode], AHEAD: _ahead_ms()} if topic.raw else {}
            new.append(NewTopic(name, wanted.partitions(name), wanted.replication(name), config=clock | topic.config))
    if new:
        for name, future in admin.create_topics(new, operation_timeout=TIMEOUT_S, request_timeout=2 * TIMEOUT_S).items():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise StackError(f"topic {name} could not be created: {error.args[0].str()}", "look at config/topics.yaml") from error
        _await_leaders(admin, [(topic.topic, index) for topic in new for index in range(topic.num_partitions)])
    differing = [name for name in wanted.topics if name in there and there[name] != wanted.partitions(name)]
    return [_difference(name, wanted.partitions(name), there[name]) for name in differing]


def set_clock(mode: Mode, bootstrap: str | None = None) -> None:
    """Choose the raw topics' clock: `live` = the broker's time, `replay` = the producer's.

    Raises:
        StackError: the mode is unknown, the broker does not answer, or a topic is missing.
    """
    if mode not in CLOCKS:
        raise StackError(f"there is no clock `{mode}`", "say `live` or `replay`")
    values = {CLOCK: CLOCKS[mode], AHEAD: _ahead_ms()}
    changes = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in values.items()]
    resources = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=changes) for name in loader.topics().raw()]
    admin = connect(bootstrap)  # must outlive its futures
    try:
        for future in admin.incremental_alter_configs(resources, request_timeout=TIMEOUT_S).values():
            future.result()
    except KafkaException as error:
        raise StackError(f"the clock could not be changed: {error.args[0].str()}", "`cdp up` creates topics that are missing") from error


def clocks(names: list[str], bootstrap: str | None = None, admin: AdminClient | None = None) -> dict[str, str]:
    """`message.timestamp.type` of topics."""
    admin = admin or connect(bootstrap)
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    found = {}
    for resource, future in admin.describe_configs(resources, request_timeout=TIMEOUT_S).items():
        found[resource.name] = str(future.result()[CLOCK].value)
    return found


def describe(bootstrap: str | None = None, folder: Path | None = None) -> list[TopicState]:
    """Partitions, records, clock and size of every topic of the file; topics that are missing have 0 partitions.

    Args:
        bootstrap: the broker; by default the platform's.
        folder: the broker's data folder, if it is on this machine.
    """
    wanted = loader.topics()
    admin = connect(bootstrap)
    there = _metadata(admin)
    present = [name for name in wanted.topics if name in there]
    clock = clocks(present, admin=admin)
    places = [(name, index) for name in present for index in range(there[name])]
    try:
        begins, ends = offsets(admin, places, OffsetSpec.earliest()), offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        stable = offsets(admin, places, OffsetSpec.latest(), committed=True)  # type: ignore[no-untyped-call]
        at_ms = newest_ms(admin, [place for place in places if wanted.topics[place[0]].raw])
        held = _held(at_ms) | {name: said for name, said in _early(at_ms)}
    except KafkaException as error:
        raise StackError(f"Kafka does not tell its offsets: {error.args[0].str()}", "it may still be starting: try again") from error
    states = []
    for name in wanted.topics:
        partitions = there.get(name, 0)
        records = sum(ends[name, index] - begins[name, index] for index in range(partitions))
        difference = held.get(name, "") if partitions == wanted.partitions(name) else _difference(name, wanted.partitions(name), partitions)
        uncommitted = sum(ends[name, index] - stable[name, index] for index in range(partitions))
        states.append(TopicState(name, partitions, records, clock.get(name, ""), _size(folder, name), difference, uncommitted))
    return states


def newest_ms(admin: AdminClient, places: list[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Greatest record timestamp of partitions; those without records are left out.

    Raises:
        KafkaException: Kafka does not answer.
    """
    newest = _found(admin, places, OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
    return {place: int(found.timestamp) for place, found in newest.items() if found.timestamp >= 0}


def held(admin: AdminClient) -> dict[str, str]:
    """Raw topics that wait for others to catch up with them in log time: what is said of each.

    Raises:
        KafkaException: Kafka does not answer.
    """
    there = _metadata(admin)
    raw = [name for name, topic in loader.topics().topics.items() if topic.raw and name in there]
    return _held(newest_ms(admin, [(name, index) for name in raw for index in range(there[name])]))


def _ahead_ms() -> str:
    return str(loader.platform().limits.clock_ahead_s * 1000)


def _early(at_ms: dict[tuple[str, int], int]) -> Iterator[tuple[str, str]]:
    """Raw topics whose log time is ahead of the clock on the wall: what is said of the partition of each that is furthest ahead."""
    allowed_s = loader.platform().limits.max_future_s
    furthest = {topic: max((place for place in at_ms if place[0] == topic), key=at_ms.__getitem__) for topic, _ in at_ms}
    for alarm in watch.ahead({place: at_ms[place] for place in furthest.values()}, int(time.time() * 1000), allowed_s):
        yield alarm.id.split(":")[1], f"{alarm.says}: docs/operations.md, section Clock"


def remarks(group: str, bootstrap: str | None = None) -> list[str]:
    """What a consumer group says beside the offsets it commits; nothing when it says nothing, or cannot be asked."""
    try:
        admin = connect(bootstrap)  # must outlive its futures
        asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)], request_timeout=REMARKS_WITHIN_S)
        found = asked[group].result()
    except KafkaException:
        return []
    return sorted({str(place.metadata) for place in found.topic_partitions or [] if place.metadata})


def _held(stands: dict[tuple[str, int], int]) -> dict[str, str]:
    """Raw topics that wait for others to catch up with them in log time: what is said of each.

    No partition is read far ahead of another. On the live clock ticks move all of them; on the producer's clock whoever writes has to tick.
    """
    if not stands:
        return {}
    slowest = min(stands, key=lambda place: stands[place])
    ahead_ms = {topic: max(at_ms for place, at_ms in stands.items() if place[0] == topic) - stands[slowest] for topic, _ in stands}
    drift_ms = loader.platform().limits.drift_s * 1000
    return {
        topic: f"held: {ms / DAY_MS:,.1f} days of log time ahead of {slowest[0]} partition {slowest[1]}; ticks there, or "
        "`cdp topics clock live`, let it go on"
        for topic, ms in ahead_ms.items()
        if ms > drift_ms
    }


def offsets(admin: AdminClient, places: list[tuple[str, int]], which: OffsetSpec, committed: bool = False) -> dict[tuple[str, int], int]:
    """Offsets of partitions: the earliest, the latest, or the end as readers of committed records see it."""
    return {place: found.offset for place, found in _found(admin, places, which, committed).items()}


def _found(
    admin: AdminClient, places: list[tuple[str, int]], which: OffsetSpec, committed: bool = False
) -> dict[tuple[str, int], ListOffsetsResultInfo]:
    isolation = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    futures = admin.list_offsets({TopicPartition(*place): which for place in places}, isolation_level=isolation, request_timeout=TIMEOUT_S)
    return {(place.topic, place.partition): future.result() for place, future in futures.items()}


def _await_leaders(admin: AdminClient, places: list[tuple[str, int]]) -> None:
    """Until every new partition answers: the broker says `created` a moment before it has elected their leaders.

    The client is asked for the metadata first: a request for offsets that finds no leader waits its whole time without looking again.
    """
    deadline = time.monotonic() + TIMEOUT_S
    problem = ""
    while time.monotonic() < deadline:
        topics = admin.list_topics(timeout=TIMEOUT_S).topics
        found = {(name, number): place.leader for name, topic in topics.items() for number, place in topic.partitions.items()}
        if all(found.get(place, -1) >= 0 for place in places):
            try:
                offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
                return
            except KafkaException as error:
                problem = error.args[0].str()
        time.sleep(0.1)
    raise StackError(f"new topics have no leader: {problem}", "see `cdp logs kafka`")


def _bootstrap(bootstrap: str | None) -> str:
    return bootstrap or loader.platform().kafka.bootstrap


def connect(bootstrap: str | None = None) -> AdminClient:
    """A client of the broker, by default of the platform's; it must outlive its futures."""
    return AdminClient({"bootstrap.servers": _bootstrap(bootstrap), "log_level": 0})


def _metadata(admin: AdminClient) -> dict[str, int]:
    try:
        return {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=TIMEOUT_S).topics.items()}
    except KafkaException as error:
        raise StackError("Kafka does not answer", "start it with `cdp up`") from error


def _difference(name: str, wanted: int, found: int) -> str:
    if not found:
        return f"{name} is missing: `cdp up` creates it"
    return f"{name} has {found} partitions, config/topics.yaml says {wanted}: keys would move, so this is left to you"


def _size(folder: Path | None, name: str) -> int:
    partitions = [path for path in (folder.glob(f"{name}-*") if folder else []) if path.name.removeprefix(f"{name}-").isdigit()]
    # A segment's file is allocated ahead for its indexes only; its log grows as it is written.
    return sum(segment.stat().st_size for path in partitions for segment in path.glob("*.log")) if partitions else -1
