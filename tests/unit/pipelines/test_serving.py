"""Whatever is taken back, repeated, lost or read out of turn: in the end the store holds the newest change of every profile."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.features.profile import incarnation
from pipelines.serving.progress import Progress
from pipelines.serving.server import Batch, Limits, Record, Server
from profile_store import layout
from profile_store.errors import StoreChangedError
from profile_store.journal import Covered, Journal
from profile_store.patch import Patch, coalesce, from_record
from stack.run_book import Run, RunBook, next_number
from tests.unit.test_profile_patch import Held, Key, apply, personal

FIELDS = ("a", "b", layout.TRAITS)


@dataclass
class Topic:
    """The log: partitions of values, None for a transaction's marker; `first` is the oldest offset that is left."""

    partitions: list[list[bytes | None]]
    first: int = 0


@dataclass
class Member:
    """A reader of some partitions."""

    topic: Topic
    places: dict[int, int] = field(default_factory=dict)

    def read(self, limit: int, timeout_s: float) -> Batch:
        records: list[Record] = []
        upto: dict[int, int] = {}
        for partition, place in self.places.items():
            found = self.topic.partitions[partition][place : place + limit - len(records)]
            records += [Record(partition, place + index, value) for index, value in enumerate(found) if value is not None]
            if found:
                upto[partition] = self.places[partition] = place + len(found)
        return Batch(records, upto)

    def seek(self, partition: int, offset: int) -> None:
        self.places[partition] = offset

    def piece(self, partition: int, begin: int, end: int) -> Sequence[Record]:
        assert self.topic.first <= begin < end <= len(self.topic.partitions[partition])
        values = self.topic.partitions[partition][begin:end]
        return [Record(partition, begin + index, value) for index, value in enumerate(values) if value is not None]

    def bounds(self, partition: int) -> tuple[int, int]:
        return self.topic.first, len(self.topic.partitions[partition])


class Redis:
    """What Redis keeps: everything it was told, in order, of which it may lose the end."""

    def __init__(self) -> None:
        self._told: list[Callable[[], object]] = []
        self.lose_all()

    def lose_all(self) -> None:
        self._told.clear()
        self.profiles: dict[Key, Held] = {}
        self.epochs: dict[str, str] = {}
        self.identifiers: dict[tuple[str, str], tuple[int, str]] = {}

    def lose(self, count: int) -> None:
        kept = self._told[: max(0, len(self._told) - count)]
        self.lose_all()
        for one in kept:
            self.tell(one)

    def tell(self, one: Callable[[], object]) -> object:
        self._told.append(one)
        return one()

    def profile(self, patch: Patch) -> None:
        apply(self.profiles, patch)

    def node(self, patch: Patch) -> None:
        for namespace, value, epoch in patch.nodes:
            held = self.identifiers.get((namespace, value))
            if held is None or held[0] < epoch:
                self.identifiers[namespace, value] = epoch, patch.profile_id

    def journal(self, command: Sequence[Any]) -> int:
        words = [str(word) for word in command[4:]]
        threes = list(zip(words[::3], words[1::3], words[2::3], strict=True))
        if all(self.epochs.get(part, "") == new for part, _, new in threes):
            return 1
        if any(self.epochs.get(part, "") != before for part, before, _ in threes):
            return 0
        self.epochs |= {part: new for part, _, new in threes}
        return 1


class Store:
    """`ProfileWriter` on such a Redis."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.journal = Journal("log")

    def write(self, patches: Sequence[Patch]) -> None:
        for patch in coalesce(patches):
            self._redis.tell(lambda patch=patch: self._redis.profile(patch))
            self._redis.tell(lambda patch=patch: self._redis.node(patch))
        self.note()

    def note(self) -> None:
        entry = self.journal.entry()
        if entry is not None:
            entry.confirm(self._redis.tell(lambda: self._redis.journal(entry.command)))

    def load(self, partitions: Sequence[int]) -> None:
        found = [self._redis.epochs.get(str(partition)) for partition in partitions]
        self.journal.answer(partitions, [entry.encode() if entry else None for entry in found])


class Running:
    """The job on this log and Redis; `owned` says which partitions."""

    def __init__(self, topic: Topic, redis: Redis, owned: Sequence[int], gap: int = 4) -> None:
        self.member, self.store = Member(topic), Store(redis)
        limits = Limits(batch=3, piece=2, gap=gap)
        self.server = Server(
            self.member, self.store, lambda: self.store.journal.covered, lambda value: from_record(orjson.loads(value)), limits, lambda: 0.0
        )
        self.assign(owned)

    def assign(self, owned: Sequence[int]) -> None:
        self.member.places = dict(self.server.assign(owned))

    def finish(self) -> None:
        """Until everything is there, and one look more: the store may have lost something since the last one."""
        for _ in range(10_000):
            self.server.turn(0.0)
            if not self.server.missing and all(
                covered.end == len(self.member.topic.partitions[part]) for part, covered in self.server.covered.items()
            ):
                before = dict(self.server.covered)
                try:
                    self.server.note()
                except StoreChangedError:
                    self.assign(list(before))
                    continue
                return
        raise AssertionError("the job never ends")


@dataclass
class Operator:
    """The profile operator in small: state by checkpoint, versions and bases as `ProfileLogic` gives them."""

    incarnation: int
    profiles: dict[str, tuple[tuple[int, int], dict[str, int]]]
    published: set[str] = field(default_factory=set)

    def change(self, profile: str, changed: dict[str, int]) -> bytes:
        (_, version), fields = self.profiles.get(profile, ((0, 0), {}))
        fields = {name: value for name, value in (fields | changed).items() if value}
        self.profiles[profile] = (self.incarnation, version + 1), fields
        whole = profile not in self.published
        self.published.add(profile)
        record = {"tenant": "t", "profile_id": profile, "incarnation": self.incarnation, "version": version + 1, "at": version}
        record |= {"nodes": {f"t|user_id|{profile}": version}, "features": orjson.dumps(fields).decode(), "epochs": {}}
        record["pii"] = orjson.dumps(personal(fields.get(layout.TRAITS))).decode()
        return orjson.dumps(record | {"base_version": 0 if whole else version, "changed": [] if whole else list(changed)})


causes = st.tuples(st.sampled_from("pqrs"), st.dictionaries(st.sampled_from(FIELDS), st.integers(0, 2), min_size=1))
steps = st.one_of(
    st.tuples(st.just("work"), st.integers(1, 8)),  # the operator publishes
    st.tuples(st.just("checkpoint"), st.just(0)),
    st.tuples(st.just("fail"), st.just(0)),  # the operator goes back to its checkpoint; what it published since stays in the log
    st.tuples(st.just("turn"), st.integers(1, 4)),
    st.tuples(st.just("lose"), st.integers(1, 12)),
    st.tuples(st.just("wipe"), st.just(0)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("swap"), st.just(0)),  # the group gives the partitions away; whoever had them has not noticed yet
    st.tuples(st.just("spread"), st.integers(1, 3)),  # keys move: the topic has more partitions in use
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(causes, min_size=1, max_size=30), st.lists(steps, max_size=40), st.booleans())
def test_the_store_comes_to_hold_the_newest_change_of_every_profile(
    told: list[tuple[str, dict[str, int]]], chosen: list[tuple[str, int]], jumps: bool
) -> None:
    topic, redis = Topic([[], [], []]), Redis()
    gap = 4 if jumps else 10_000
    jobs = [Running(topic, redis, [0, 2], gap), Running(topic, redis, [1], gap)]
    operator, done, saved, used = Operator(1, {}), 0, (0, {}), 1

    def work(count: int) -> None:
        nonlocal done
        for profile, changed in told[done : done + count]:
            topic.partitions[ord(profile) % used].append(operator.change(profile, changed))
        done = min(len(told), done + count)

    for what, number in chosen:
        if what == "work":
            work(number)
        elif what == "checkpoint":
            saved = done, dict(operator.profiles)
            topic.partitions[0].append(None)
        elif what == "fail":
            operator, done = Operator(operator.incarnation + 1, dict(saved[1])), saved[0]
            told = told[:done] + told[: done - 1 : -1] if done else told[::-1]  # from several sources, things come in another order
        elif what == "turn":
            for _ in range(number):
                for job in jobs:
                    job.server.turn(0.0)
        elif what == "lose":
            redis.lose(number)
        elif what == "wipe":
            redis.lose_all()
        elif what == "restart":
            jobs = [Running(topic, redis, list(job.server.covered), gap) for job in jobs]
        elif what == "swap":
            mine, yours = list(jobs[0].server.covered), list(jobs[1].server.covered)
            jobs[0].assign(yours)
            jobs[1].server.turn(0.0)  # a zombie's last batch
            jobs[1].assign(mine)
        else:
            used = number
    work(len(told))
    for job in jobs:
        job.finish()
    for job in jobs:  # the zombie's last entry may have been the other's first surprise
        job.finish()
    expected = {
        ("t", profile): Held(rank, False, fields, personal(fields.get(layout.TRAITS)))
        for profile, (rank, fields) in operator.profiles.items()
    }
    assert redis.profiles == expected
    assert {value for _, value in redis.identifiers} == set(operator.profiles)


def changes(count: int, profiles: str = "pq") -> tuple[Topic, dict[str, dict[str, int]]]:
    """A log of one partition."""
    operator = Operator(1, {})
    values: list[bytes | None] = [operator.change(profiles[number % len(profiles)], {"a": number + 1}) for number in range(count)]
    return Topic([values]), {profile: fields for profile, (_, fields) in operator.profiles.items()}


def test_an_empty_store_gets_the_newest_changes_first_and_never_an_older_one() -> None:
    topic, newest = changes(40, "pqrstuvw")
    redis = Redis()
    job = Running(topic, redis, [0])
    assert job.server.missing == 40
    seen: dict[str, dict[str, int]] = {}
    while job.server.missing:
        job.server.turn(0.0)
        for (_, profile), held in redis.profiles.items():
            assert seen.setdefault(profile, held.fields) == held.fields == newest[profile]
    assert set(seen) == set(newest)


def test_live_changes_do_not_wait_for_a_gap_to_be_closed() -> None:
    topic, _ = changes(40)
    redis = Redis()
    job = Running(topic, redis, [0])
    topic.partitions[0].append(Operator(2, {}).change("new", {"a": 5}))
    job.server.turn(0.0)
    assert redis.profiles["t", "new"].fields == {"a": 5}
    assert job.server.missing > 30


def test_what_the_store_loses_without_anybody_writing_is_found_too() -> None:
    topic, newest = changes(10)
    redis = Redis()
    now = [0.0]
    job = Running(topic, redis, [0], gap=100)
    job.server._clock = lambda: now[0]
    job.finish()
    redis.lose(7)
    job.server.turn(0.0)
    now[0] += 2.0
    for _ in range(5):
        job.server.turn(0.0)
    assert {profile: held.fields for (_, profile), held in redis.profiles.items()} == newest


def test_a_log_that_lost_its_tail_is_read_again_as_a_whole() -> None:
    topic, _ = changes(10)
    redis = Redis()
    Running(topic, redis, [0], gap=100).finish()
    del topic.partitions[0][5:]
    operator = Operator(2, {})
    topic.partitions[0] += [operator.change("late", {"a": number}) for number in range(1, 3)]
    Running(topic, redis, [0], gap=100).finish()
    assert redis.profiles["t", "late"].fields == {"a": 2}


def test_what_the_log_has_dropped_is_not_asked_for() -> None:
    topic, _ = changes(10)
    topic.first = 6
    job = Running(topic, Redis(), [0])
    job.finish()
    assert job.server.covered == {0: Covered.upto(10)}


def test_the_journal_refuses_what_does_not_follow() -> None:
    redis = Redis()
    one, other = Store(redis), Store(redis)
    one.load([0])
    one.journal.covered[0] = Covered.upto(3)
    one.note()
    other.load([0])
    assert other.journal.covered == {0: Covered.upto(3)}
    other.note()
    with pytest.raises(StoreChangedError):
        one.note()


def test_progress_tells_the_group_where_the_store_is_and_what_is_missing() -> None:
    topic, _ = changes(40)
    job = Running(topic, Redis(), [0])
    told: list[tuple[dict[int, int], str]] = []
    progress = Progress(job.server, lambda offsets, remark: told.append((dict(offsets), remark)))
    for second in range(1, 60):
        progress.say(float(second))
        job.server.turn(0.0)
    progress.say(100.0)
    assert told[0] == ({0: 0}, "filling Redis: 40 older records to look at")
    assert told[-1] == ({0: 40}, "")


@given(st.lists(st.tuples(st.integers(0, 2**33), st.integers(0, 50)), min_size=1, max_size=20))
def test_each_start_of_the_operator_has_a_greater_number_whatever_the_clock_does(starts: list[tuple[int, int]]) -> None:
    book, numbers = RunBook(), []
    for now_s, attempts in starts:
        book.runs.append(Run("x", 0.0, number=next_number(book, now_s)))
        numbers += [incarnation(book.runs[-1].number, attempt) for attempt in range(attempts + 1)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] < 2**53
