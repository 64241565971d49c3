"""Whatever is killed at whatever moment: each record of a clean topic becomes one row."""

import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.history.group import member_name
from pipelines.history.loader import FENCE_AGE_S, FencedError, Limits, Loader, RebalancingError, Record
from pipelines.history.marks import LogCutError, resume
from pipelines.history.plan import BrokenPlanError, Buffer, Mark, Partition, Range, done, parse_mark, planned
from schemas import clean

TOPIC = "cdp.links"
TABLES = {TOPIC: "links"}
PARTS = [Partition(TOPIC, 0), Partition(TOPIC, 1)]


class KilledError(BaseException):
    """The process ends here."""


def link(offset: int, partition: int = 0) -> bytes:
    base = {"tenant": "t", "a": "a", "b": "b", "message_id": "m", "source": "s", "partition": partition, "log_time": 0}
    return clean.encode("link", {**base, "offset": offset})


def duplicate(offset: int, partition: int = 0) -> bytes:
    base = {"tenant": "t", "node": "n", "message_id": "m", "source": "s", "partition": partition, "log_time": 0}
    return clean.encode("duplicate", {**base, "offset": offset})


@dataclass
class World:
    """Kafka and ClickHouse as the loader sees them, with a hand on every switch."""

    log: dict[Partition, list[tuple[int, bytes]]]
    rng: random.Random
    kill: float
    forgets: str = ""
    lapses: int = 4
    committed: dict[Partition, tuple[int, str]] = field(default_factory=dict)
    kept: dict[Partition, Mark] = field(default_factory=dict)
    backup: tuple[list[tuple[str, int]], set[str], dict[Partition, Mark]] = field(default_factory=lambda: ([], set(), {}))
    owner: object = None
    tokens: set[str] = field(default_factory=set)
    rows: list[tuple[str, int]] = field(default_factory=list)
    now_s: float = 0.0

    def happens(self) -> bool:
        return self.rng.random() < self.kill

    def maybe_die(self) -> None:
        if self.happens():
            raise KilledError

    def mark(self, part: Partition) -> Mark:
        """Where the next owner begins."""
        offset, metadata = self.committed.get(part, (-1, ""))
        group = parse_mark(offset, metadata) if offset >= 0 else None
        return resume(part, group, self.kept.get(part), 0, self.log[part][-1][0] + 1 if self.log[part] else 0).mark

    def forget(self) -> None:
        """The group is gone, or went back; or ClickHouse comes back from a backup that was made between two inserts."""
        if all(mark.plan is None or self.committed.get(part) == (mark.plan.end, "") for part, mark in self.kept.items()) and self.happens():
            self.backup = (list(self.rows), set(self.tokens), dict(self.kept))
        if self.lapses == 0 or self.rng.random() < 0.5:
            return
        self.lapses -= 1
        if self.forgets == "group":
            self.committed.clear()
        elif self.forgets == "group back":
            self.committed = {part: (self.rng.randint(0, offset), "") for part, (offset, _) in self.committed.items()}
        elif self.forgets == "backup":
            self.rows, self.tokens, self.kept = list(self.backup[0]), set(self.backup[1]), dict(self.backup[2])

    def store(self, table: str, data: bytes, token: str) -> None:
        """Takes a token once; rows that were stored may go unacknowledged."""
        if token in self.tokens:
            return
        self.tokens.add(token)
        for record in fastavro.reader(io.BytesIO(data)):
            assert isinstance(record, dict)
            self.rows.append((token.split(":")[1], record["offset"]))


class Member:
    """One process: a group member and its inserts."""

    def __init__(self, world: World, limits: Limits) -> None:
        self.world = world
        world.forget()
        self.marks = {part: world.mark(part) for part in PARTS}
        self.next = {part: mark.offset for part, mark in self.marks.items()}
        self.loader = Loader(self, self, TABLES, limits, clock=lambda: world.now_s)
        world.owner = self
        self.loader.assign(self.marks)

    def read(self, limit: int, timeout_s: float) -> list[Record]:
        self.world.now_s += timeout_s
        self.world.maybe_die()
        found = []
        for part in self.world.rng.sample(PARTS, len(PARTS)):
            ahead = [entry for entry in self.world.log[part] if entry[0] >= self.next[part]]
            for offset, value in ahead[: self.world.rng.randint(0, limit)]:
                found.append(Record(part, offset, value))
                self.next[part] = offset + 1
        return found

    def commit(self, marks: Mapping[Partition, Mark]) -> None:
        self.world.maybe_die()
        if self.world.owner is not self:
            raise FencedError
        if self.world.happens():
            raise RebalancingError
        for part, mark in marks.items():
            self.world.committed[part] = (mark.offset, mark.metadata)
        self.world.maybe_die()

    def topic_id(self, topic: str) -> str:
        return "id"

    def insert(self, table: str, data: bytes, token: str, fence: Callable[[], None]) -> bool:
        """Attempts that end without an answer, with, without and with half an effect, far enough apart for the fence to ask again."""
        answered = True
        while True:
            fence()
            self.world.maybe_die()
            if self.world.happens():
                if self.world.happens():  # the server is killed when it knows the token and has no rows yet
                    self.world.tokens.add(token)
                    self.world.maybe_die()
                self.world.now_s += FENCE_AGE_S + 1
                answered = False
                continue
            self.world.store(table, data, token)
            self.world.maybe_die()
            if not self.world.happens():
                return answered
            self.world.now_s += FENCE_AGE_S + 1
            answered = False

    def mend(self, table: str, messages: list[bytes], fence: Callable[[], None]) -> int:
        """Look for the rows themselves."""
        fence()
        records = [clean.decode(message) for message in messages]
        wanted = {(str(record["partition"]), record["offset"]) for record in records}
        missing = sorted(wanted - set(self.world.rows))
        self.world.maybe_die()
        self.world.rows += missing
        self.world.maybe_die()
        return len(missing)

    def keep(self, marks: Mapping[Partition, Mark], topic_ids: Mapping[str, str], fence: Callable[[], None]) -> None:
        """Beside the rows; the greatest start wins."""
        assert topic_ids == {TOPIC: "id"}
        fence()
        self.world.maybe_die()
        for part, mark in marks.items():
            if part not in self.world.kept or mark.offset >= self.world.kept[part].offset:
                self.world.kept[part] = mark
        self.world.maybe_die()

    @property
    def finished(self) -> bool:
        return all(self.loader.position(part) == self.world.log[part][-1][0] + 1 for part in PARTS if self.world.log[part])


def wake_up(zombie: Member) -> None:
    """Let a member whose place was taken run on; it may do nothing, or what its successor does too."""
    for _ in range(20):
        try:
            zombie.loader.turn(0.6)
        except FencedError:
            return


def gapped(rng: random.Random, count: int, partition: int = 0) -> list[tuple[int, bytes]]:
    """Records of two schemas with holes between them, as transaction markers make them."""
    offset, entries = 0, []
    for _ in range(count):
        offset += rng.choice([0, 0, 0, 1, 2])
        entries.append((offset, rng.choice([link, link, duplicate])(offset, partition)))
        offset += 1
    return entries


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 2**32),
    st.integers(0, 60),
    st.integers(1, 20),
    st.sampled_from([0.0, 0.02, 0.1]),
    st.sampled_from(["", "group", "group back", "backup"]),
)
def test_every_record_becomes_one_row_however_often_loader_and_server_die_and_forget(
    seed: int, count: int, rows: int, kill: float, forgets: str
) -> None:
    rng = random.Random(seed)
    world = World({part: gapped(rng, count, part.number) for part in PARTS}, rng, kill, forgets)
    zombies: list[Member] = []
    for _ in range(400):
        member = Member(world, Limits(rows=rows, linger_s=0.5, reads=7))
        try:
            while not member.finished:
                member.loader.turn(0.1)
        except KilledError:
            if forgets != "backup":
                zombies.append(member)  # it may only have been frozen: let it run on a little beside its successor
            continue
        break
    world.kill = 0.0
    for zombie in zombies[-3:]:
        wake_up(zombie)
    expected = [(str(part.number), offset) for part in PARTS for offset, _ in world.log[part]]
    assert sorted(world.rows) == sorted(expected)


def test_what_is_in_is_confirmed_without_waiting_for_more() -> None:
    world = World({PARTS[0]: [(0, link(0)), (1, link(1))], PARTS[1]: []}, random.Random(1), 0.0)
    member = Member(world, Limits(linger_s=0.0))
    while not member.finished:
        member.loader.turn(0.1)
    assert world.committed[PARTS[0]] == (2, "")


def test_a_range_is_closed_when_its_first_record_has_waited_long_enough() -> None:
    world = World({PARTS[0]: [(0, link(0))], PARTS[1]: []}, random.Random(3), 0.0)
    member = Member(world, Limits(linger_s=1.0))
    while member.next[PARTS[0]] == 0:
        member.loader.turn(0.1)
    for _ in range(8):
        member.loader.turn(0.1)
    assert not world.rows
    for _ in range(3):
        member.loader.turn(0.1)
    assert len(world.rows) == 1


def test_an_insert_that_takes_long_asks_before_each_attempt_whether_the_partition_is_still_ours() -> None:
    """ClickHouse remembers tokens for a while only: a member that was driven out must not insert much later."""
    world = World({PARTS[0]: [(0, link(0))], PARTS[1]: []}, random.Random(1), 0.0)
    attempts: list[str] = []

    class Slow(Member):
        def insert(self, table: str, data: bytes, token: str, fence: Callable[[], None]) -> bool:
            for _ in range(5):
                fence()
                attempts.append(token)
                world.now_s += FENCE_AGE_S / 2 + 0.1
                if len(attempts) == 3:
                    world.owner = None
            return True

    member = Slow(world, Limits(linger_s=0.0))
    wake_up(member)
    assert 3 <= len(attempts) <= 4


def test_a_planned_range_that_cannot_be_read_again_is_an_error() -> None:
    buffer = Buffer(planned(Range(5, 8)))
    buffer.add(5, b"", 0)
    with pytest.raises(BrokenPlanError, match=r"5\.\.8"):
        buffer.add(9, b"", 0)


@given(st.integers(0, 2**62), st.integers(1, 2**40))
def test_marks_survive_the_groups_memory(start: int, length: int) -> None:
    for mark in (done(start), planned(Range(start, start + length))):
        assert parse_mark(mark.offset, mark.metadata) == mark


@pytest.mark.parametrize("metadata", ["7", "7:", ":9", "6:9", "7:7", "x:y"])
def test_foreign_metadata_is_refused(metadata: str) -> None:
    with pytest.raises(BrokenPlanError):
        parse_mark(7, metadata)


PART = PARTS[0]


def test_a_group_that_forgot_everything_goes_on_from_what_is_written_beside_the_rows() -> None:
    kept = planned(Range(90, 120))
    resumed = resume(PART, None, kept, 0, 500)
    assert resumed.mark == kept, "and that range once more, under its old name"
    assert "remembers nothing" in resumed.note
    assert resume(PART, None, None, 7, 500).mark == done(7)


def test_of_two_memories_the_one_that_knows_more_counts() -> None:
    kept = planned(Range(90, 120))
    for same in (done(120), planned(Range(90, 120)), planned(Range(120, 150))):
        assert resume(PART, same, kept, 0, 500) == (same, "")
    assert resume(PART, done(40), kept, 0, 500).mark == kept
    for ahead, until in ((done(300), 300), (planned(Range(300, 310)), 310)):
        resumed = resume(PART, ahead, kept, 0, 500)
        assert resumed.mark == Mark(90, None, until), "ClickHouse came from a backup: look for each row of what lies between"
        assert "up to 120 only" in resumed.note


@pytest.mark.parametrize("known", [(done(501), None), (None, planned(Range(490, 501))), (planned(Range(490, 501)), None)])
def test_a_log_that_ends_before_what_is_loaded_is_refused_never_read_from_the_beginning(known: tuple[Mark | None, Mark | None]) -> None:
    with pytest.raises(LogCutError, match=r"ends at offset 500, .* up to 501 .* `cdp offsets reset history`"):
        resume(PART, *known, 0, 500)


def test_a_log_cut_at_its_beginning_goes_on_where_it_begins_and_says_so() -> None:
    resumed = resume(PART, None, planned(Range(90, 120)), 130, 500)
    assert (resumed.mark, "begins at 130" in resumed.note) == (done(130), True)


def test_members_with_other_topics_have_other_names() -> None:
    assert member_name("0", ["a", "b"]) == member_name("0", ["b", "a"])
    assert len({member_name("0", ["a"]), member_name("0", ["a", "b"]), member_name("1", ["a"])}) == 3
