"""Transactions of Flink jobs' exactly-once sinks: which are open, what they hold back, and which of them a checkpoint still has to commit.

A sink writes into one transaction per checkpoint and topic, and commits it once the checkpoint is complete; its transactional ids come out
of a pool and are used again (sinks/kafka.py). A job that dies in between commits it when it comes back, from the checkpoint. Meanwhile
readers of committed records stand before it. If the broker ends such a transaction first (its time-out passed, or somebody ended it), what
the checkpoint counts as written is in no topic: a *hole*.
"""

import re
import time
from collections.abc import Container, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from confluent_kafka import KafkaException, Producer

from stack.checkpoint_files import METADATA, files
from stack.errors import StackError
from stack.process import write_json
from stack.settings import Settings

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

PREFIX: Final = "cdp-"
OPEN: Final = frozenset({"Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"})
# What a transaction that a checkpoint has to commit must not be.
LOST: Final = frozenset({"PrepareAbort", "CompleteAbort", "PrepareEpochFence"})
KEPT_ABORTS: Final = 1000
TIMEOUT_MS: Final = 10_000
SMALL_BYTES: Final = 1 << 20
# A committable as Flink writes it: its length, then `KafkaCommittableSerializer`: epoch, producer id, and the id behind its own length. The
# length tells it from the state of the sink's writer, which names the same ids.
_COMMITTABLE = re.compile(rb"(.{4})(..)(.{8})(..)(cdp-[\x21-\x7e]+?-\d+-\d+)", re.DOTALL)
_FIXED_BYTES = 2 + 8 + 2


class Transaction(msgspec.Struct, frozen=True):
    """A transactional id as its coordinator knows it. Ages and time-outs in seconds; `age_s` is 0 unless it is open."""

    id: str
    state: str
    producer_id: int
    epoch: int
    age_s: float
    timeout_s: float
    partitions: list[tuple[str, int]]

    @property
    def is_open(self) -> bool:
        """Whether readers of committed records may have to wait for it."""
        return self.state in OPEN

    @property
    def as_committable(self) -> "Committable":
        """As a checkpoint names it while it is open."""
        return Committable(self.id, self.producer_id, self.epoch)


class Committable(NamedTuple):
    """A transaction that a checkpoint has to commit."""

    id: str
    producer_id: int
    epoch: int


def ours(bootstrap: str) -> list[Transaction]:
    """Every transactional id of ours, the oldest open one first.

    Raises:
        StackError: Kafka does not answer.
    """
    return _described(bootstrap, None)


def committables(folder: Path) -> list[Committable]:
    """The transactions that a checkpoint or savepoint has to commit when a job starts from it.

    Args:
        folder: of the checkpoint; its files must be readable.
    """
    metadata = (folder / METADATA).read_bytes()
    contents = [metadata] + [file.read_bytes() for file, size in files(folder, metadata) if size < SMALL_BYTES]
    found = set()
    for content in contents:
        for match in _COMMITTABLE.finditer(content):
            size, length = int.from_bytes(match[1], "big"), int.from_bytes(match[4], "big")
            if length == len(match[5]) and size == length + _FIXED_BYTES:
                epoch, producer_id = int.from_bytes(match[2], "big"), int.from_bytes(match[3], "big")
                found.add(Committable(match[5].decode(), producer_id, epoch))
    return sorted(found)


def holes(wanted: Iterable[Committable], known: Iterable[Transaction], aborted: Container[Committable] = ()) -> list[str]:
    """Transactions that can no longer be committed, each with its state.

    A broker that ends a transaction raises its epoch by one, and so does a commit. An epoch beyond that belongs to a later transaction of
    the same id: the id was given out again, which happens only after a commit, or after an abort of ours, and those are written down.

    Args:
        wanted: what a checkpoint has to commit.
        known: what Kafka knows of these ids. An id that it does not know has not been used for weeks: then nobody can tell any more.
        aborted: transactions that were ended by `abort`.
    """
    by_id = {transaction.id: transaction for transaction in known}
    lost = []
    for one in wanted:
        held = by_id.get(one.id)
        if one in aborted:
            lost.append(f"{one.id} (aborted by hand)")
        elif held and held.producer_id == one.producer_id and held.state in LOST and held.epoch <= one.epoch + 1:
            lost.append(f"{one.id} ({held.state})")
    return lost


def lost_output(settings: Settings, folder: Path) -> list[str]:
    """What a start from a checkpoint would find missing in the topics; see `holes`.

    Raises:
        StackError: Kafka does not answer.
    """
    wanted = committables(folder)
    return holes(wanted, _described(settings.kafka, {one.id for one in wanted}), _aborted(settings)) if wanted else []


def refusal(transaction: Transaction, job: str, job_is_wanted: bool, wanted: Container[Committable]) -> str:
    """Why a transaction must not be aborted; empty when nobody will ever commit it.

    Args:
        transaction: which.
        job: the Flink job it belongs to; empty when there is none of that name.
        job_is_wanted: whether the job runs, or would be started by the supervisor.
        wanted: what the newest point of the job has to commit.
    """
    if not transaction.is_open:
        return f"it is not open ({transaction.state})"
    if job and job_is_wanted:
        return f"job {job} commits or aborts it itself; stop it first: `cdp job stop {job}`"
    if transaction.as_committable in wanted:
        return f"the newest point of job {job} still has to commit it: `cdp job start {job}` does that"
    return ""


def abort(settings: Settings, transaction: Transaction) -> None:
    """End an open transaction: what it wrote is in no topic then. Its writer, should it still be there, is shut out.

    It is written down first: Kafka itself does not remember how the transactions of an id ended once the id is used again.

    Raises:
        StackError: Kafka does not answer, or refuses.
    """
    before = _aborted(settings)
    _write_aborted(settings, [*before, transaction.as_committable])
    producer = Producer({"bootstrap.servers": settings.kafka, "transactional.id": transaction.id, "log_level": 0})
    try:
        producer.init_transactions(TIMEOUT_MS / 1000)
    except KafkaException as error:
        _write_aborted(settings, before)
        raise StackError(f"{transaction.id} could not be aborted: {error.args[0].str()}", "try again, or see `cdp logs kafka`") from error


def _aborted(settings: Settings) -> list[Committable]:
    path = settings.data / "aborted-transactions.json"
    return msgspec.json.decode(path.read_bytes(), type=list[Committable]) if path.is_file() else []


def _write_aborted(settings: Settings, found: list[Committable]) -> None:
    write_json(settings.data / "aborted-transactions.json", found[-KEPT_ABORTS:])


def job_of(transactional_id: str, jobs: Iterable[str]) -> str:
    """The Flink job whose sinks use an id; empty when there is none."""
    return max((job for job in jobs if transactional_id.startswith(f"{PREFIX}{job}-")), key=len, default="")


def _described(bootstrap: str, only: set[str] | None) -> list[Transaction]:
    # Here and not above: it reads a hundred files, 0.7 s of every start of `cdp` and the ticker, and few of them ask for transactions.
    from kafka.admin import KafkaAdminClient
    from kafka.errors import KafkaError

    try:
        admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=TIMEOUT_MS)
    except (KafkaError, OSError) as error:
        raise StackError(f"Kafka at {bootstrap} does not answer ({type(error).__name__})", "start it with `cdp up`") from error
    try:
        listed = {one.transactional_id for found in admin.list_transactions().values() for one in found}
        names = {name for name in listed if name.startswith(PREFIX) and (only is None or name in only)}
        return sorted((_of(admin, name) for name in names), key=lambda one: (-one.age_s, one.id))
    except (KafkaError, OSError) as error:
        raise StackError(f"Kafka does not tell its transactions ({type(error).__name__}: {error})", "see `cdp logs kafka`") from error
    finally:
        admin.close()


def _of(admin: "KafkaAdminClient", name: str) -> Transaction:
    from kafka.errors import TransactionalIdNotFoundError

    try:
        found = admin.describe_transactions([name])[name]
    except TransactionalIdNotFoundError:  # gone since it was listed
        return Transaction(name, "Dead", -1, -1, 0.0, 0.0, [])
    state = str(found.state.value)
    age_s = max(0.0, time.time() - found.transaction_start_time_ms / 1000) if state in OPEN else 0.0
    partitions = sorted((part.topic, part.partition) for part in found.topic_partitions)
    return Transaction(name, state, found.producer_id, found.producer_epoch, age_s, found.transaction_timeout_ms / 1000, partitions)
