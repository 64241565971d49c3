"""The topics of `config/topics.yaml` on a broker: create them, tell differences, and choose the raw topics' clock.

Live, raw topics stamp records with the broker's time (`LogAppendTime`); for a replay they keep the producer's (`CreateTime`), so that
the log's own time is the time of the events.
"""

import os
import time
from pathlib import Path
from typing import Literal

import msgspec
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
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
from stack.errors import StackError

CLOCK = "message.timestamp.type"
Mode = Literal["live", "replay"]
CLOCKS: dict[str, str] = {"live": "LogAppendTime", "replay": "CreateTime"}
TIMEOUT_S = 15.0
DAY_MS = 86_400_000


class TopicState(msgspec.Struct, frozen=True):
    """A topic as the broker has it.

    `records` is end minus begin over all partitions; `size_bytes` is -1 where the broker's folder is not at hand.
    """

    name: str
    partitions: int
    records: int
    clock: str
    size_bytes: int = -1
    difference: str = ""


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
    admin = _admin(bootstrap)
    there = _metadata(admin)
    new = []
    for name, topic in wanted.topics.items():
        if name not in there:
            clock = {CLOCK: CLOCKS[mode]} if topic.raw else {}
            new.append(NewTopic(name, wanted.partitions(name), wanted.replication(name), config=clock | topic.config))
    if new:
        for name, future in admin.create_topics(new, operation_timeout=TIMEOUT_S).items():
            try:
                future.result(TIMEOUT_S)
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
    change = ConfigEntry(CLOCK, CLOCKS[mode], incremental_operation=AlterConfigOpType.SET)
    resources = [ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change]) for name in loader.topics().raw()]
    admin = _admin(bootstrap)  # must outlive its futures
    try:
        for future in admin.incremental_alter_configs(resources, request_timeout=TIMEOUT_S).values():
            future.result(TIMEOUT_S)
    except KafkaException as error:
        raise StackError(f"the clock could not be changed: {error.args[0].str()}", "`cdp up` creates topics that are missing") from error


def clocks(names: list[str], bootstrap: str | None = None, admin: AdminClient | None = None) -> dict[str, str]:
    """`message.timestamp.type` of topics."""
    admin = admin or _admin(bootstrap)
    resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    found = {}
    for resource, future in admin.describe_configs(resources, request_timeout=TIMEOUT_S).items():
        found[resource.name] = str(future.result(TIMEOUT_S)[CLOCK].value)
    return found


def describe(bootstrap: str | None = None, folder: Path | None = None) -> list[TopicState]:
    """Partitions, records, clock and size of every topic of the file; topics that are missing have 0 partitions.

    Args:
        bootstrap: the broker; by default the platform's.
        folder: the broker's data folder, if it is on this machine.
    """
    wanted = loader.topics()
    admin = _admin(bootstrap)
    there = _metadata(admin)
    present = [name for name in wanted.topics if name in there]
    clock = clocks(present, admin=admin)
    places = [(name, index) for name in present for index in range(there[name])]
    try:
        begins, ends = _offsets(admin, places, OffsetSpec.earliest()), _offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        held = _held(admin, [place for place in places if wanted.topics[place[0]].raw])
    except KafkaException as error:
        raise StackError(f"Kafka does not tell its offsets: {error.args[0].str()}", "it may still be starting: try again") from error
    states = []
    for name in wanted.topics:
        partitions = there.get(name, 0)
        records = sum(ends[name, index] - begins[name, index] for index in range(partitions))
        difference = held.get(name, "") if partitions == wanted.partitions(name) else _difference(name, wanted.partitions(name), partitions)
        states.append(TopicState(name, partitions, records, clock.get(name, ""), _size(folder, name), difference))
    return states


def lag(group: str, bootstrap: str | None = None) -> int | None:
    """Records between a consumer group's committed offsets and the ends of the partitions it commits; None when it never committed."""
    admin = _admin(bootstrap)
    try:
        committed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(TIMEOUT_S).topic_partitions or []
        places = [place for place in committed if place.offset >= 0]
        if not places:
            return None
        ends = _offsets(admin, [(place.topic, place.partition) for place in places], OffsetSpec.latest())  # type: ignore[no-untyped-call]
        behind = [ends[place.topic, place.partition] - int(place.offset) for place in places]
        return sum(max(0, records) for records in behind)
    except KafkaException:
        return None  # the group is not there, or Kafka is starting: a status line is no place to fail


def _held(admin: AdminClient, places: list[tuple[str, int]]) -> dict[str, str]:
    """Raw topics that wait for others to catch up with them in log time: what is said of each.

    No partition is read far ahead of another. On the live clock ticks move all of them; on the producer's clock whoever writes has to tick.
    """
    newest = _found(admin, places, OffsetSpec.max_timestamp())  # type: ignore[no-untyped-call]
    stands = {place: int(found.timestamp) for place, found in newest.items() if found.timestamp >= 0}
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


def _offsets(admin: AdminClient, places: list[tuple[str, int]], which: OffsetSpec) -> dict[tuple[str, int], int]:
    return {place: found.offset for place, found in _found(admin, places, which).items()}


def _found(admin: AdminClient, places: list[tuple[str, int]], which: OffsetSpec) -> dict[tuple[str, int], ListOffsetsResultInfo]:
    futures = admin.list_offsets({TopicPartition(*place): which for place in places}, request_timeout=TIMEOUT_S)
    return {(place.topic, place.partition): future.result(TIMEOUT_S) for place, future in futures.items()}


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
                _offsets(admin, places, OffsetSpec.latest())  # type: ignore[no-untyped-call]
                return
            except KafkaException as error:
                problem = error.args[0].str()
        time.sleep(0.1)
    raise StackError(f"new topics have no leader: {problem}", "see `cdp logs kafka`")


def _bootstrap(bootstrap: str | None) -> str:
    return bootstrap or loader.platform().kafka.bootstrap


def _admin(bootstrap: str | None) -> AdminClient:
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
