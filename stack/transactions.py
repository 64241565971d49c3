"""Transactions of Flink jobs' exactly-once sinks: which are open, what they hold back, and which of them a checkpoint still has to commit.

A sink writes into one transaction per checkpoint and topic, and commits it once the checkpoint is complete. A job that dies in between
commits it when it comes back, from the checkpoint. Meanwhile readers of committed records stand before it. If the broker ends such a
transaction first (its time-out passed, or somebody ended it), what the checkpoint counts as written is in no topic: a *hole*.
"""

import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from confluent_kafka import KafkaException, Producer

from stack.checkpoint_files import METADATA, files
from stack.errors import StackError

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

PREFIX: Final = "cdp-"
OPEN: Final = frozenset({"Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"})
# What a transaction that a checkpoint has to commit must not be. `Empty`: its id was taken over, which aborts what was under way.
LOST: Final = frozenset({"PrepareAbort", "CompleteAbort", "PrepareEpochFence", "Empty", "Dead"})
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


def holes(wanted: Iterable[Committable], known: Iterable[Transaction]) -> list[str]:
    """Transactions that can no longer be committed, each with its state.

    Args:
        wanted: what a checkpoint has to commit.
        known: what Kafka knows of these ids. An id that it does not know has not been used for weeks: then nobody can tell any more.
    """
    by_id = {transaction.id: transaction for transaction in known}
    lost = []
    for one in wanted:
        held = by_id.get(one.id)
        if held is None or held.producer_id != one.producer_id:
            continue
        if held.state in LOST or (held.state == "Ongoing" and held.epoch != one.epoch):
            lost.append(f"{one.id} ({held.state})")
    return lost


def lost_output(bootstrap: str, folder: Path) -> list[str]:
    """What a start from a checkpoint would find missing in the topics; see `holes`.

    Raises:
        StackError: Kafka does not answer.
    """
    wanted = committables(folder)
    return holes(wanted, _described(bootstrap, {one.id for one in wanted})) if wanted else []


def refusal(transaction: Transaction, job: str, job_is_wanted: bool, wanted: Iterable[Committable]) -> str:
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
    if any(one.id == transaction.id for one in wanted):
        return f"the newest point of job {job} still has to commit it: `cdp job start {job}` does that"
    return ""


def abort(bootstrap: str, transaction: Transaction) -> None:
    """End an open transaction: what it wrote is in no topic then. Its writer, should it still be there, is shut out.

    Raises:
        StackError: Kafka does not answer, or refuses.
    """
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": transaction.id, "log_level": 0})
    try:
        producer.init_transactions(TIMEOUT_MS / 1000)
    except KafkaException as error:
        raise StackError(f"{transaction.id} could not be aborted: {error.args[0].str()}", "try again, or see `cdp logs kafka`") from error


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
