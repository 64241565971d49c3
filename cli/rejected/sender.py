"""Sends replayed records: each batch and its entries in the log of replays in one Kafka transaction: neither is there without the other.

Whoever begins a replay puts an end to any other of the same transactional id, its open transaction included, before reading the log of
replays. So between reading it and writing to it nobody else writes, and a killed replay leaves nothing half done.
"""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer

from cli.rejected.replay_log import TOPIC
from pipelines.rejected.record import Position
from pipelines.rejected.verdicts import Sent

TIMEOUT_S: Final = 15
"""How long a transaction may be open. While it is, job `profiles` waits in the partitions it touches: not long, if its writer is killed."""
BATCH: Final = 200
"""Records a transaction."""
ANSWER_S: Final = 30.0
TRIES: Final = 5


class SendError(RuntimeError):
    """A batch was not sent, or it is not known whether it was; the message says what to do."""


class SupersededError(SendError):
    """Another replay of this transactional id has begun."""


class Raw(NamedTuple):
    """A record for a raw topic.

    Attributes:
        topic: raw topic.
        partition: of the raw topic.
        timestamp: log time, ms; the broker replaces it where its own clock rules.
        value: the record's bytes.
        key: the record's key.
    """

    topic: str
    partition: int
    timestamp: int
    value: bytes
    key: bytes | None = None


class Outgoing(NamedTuple):
    """What is sent of a rejected or kept record.

    Attributes:
        position: of the record.
        entry: for the log of replays.
        records: what goes to raw topics.
    """

    position: Position
    entry: Sent
    records: Sequence[Raw]


class Sender:
    """Sends the replays of one transactional id; any other process that does is fenced off from here on.

    Args:
        bootstrap: Kafka.
        transactional_id: Kafka's; one a tenant and kind of replay.
        name: what replays, for messages: "`cdp rejected replay` of tenant demo".

    Raises:
        SendError: Kafka does not answer.
    """

    def __init__(self, bootstrap: str, transactional_id: str, name: str) -> None:
        self._name = name
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": TIMEOUT_S * 1000,
                "acks": "all",
                "compression.type": "lz4",
                "linger.ms": 5,
                "message.max.bytes": 4_194_304,
                "log_level": 0,
            }
        )
        try:
            self._producer.init_transactions(ANSWER_S)
        except KafkaException as error:
            raise SendError(f"Kafka at {bootstrap} does not answer ({error.args[0].str()}); is it running (`cdp status`)?") from error

    def send(self, batch: Sequence[Outgoing]) -> None:
        """Send a batch, wholly or not at all.

        Raises:
            SupersededError: another replay of this transactional id has begun; nothing of the batch was sent.
            SendError: nothing was sent, or it is not known whether it was; the message says which, and what to do.
        """
        try:
            self._producer.begin_transaction()
            for item in batch:
                for raw in item.records:
                    self._produce(raw)
                self._produce(Raw(TOPIC, 0, 0, msgspec.json.encode(item.entry), str(item.position).encode()))
            self._commit()
        except KafkaException as error:
            raise self._failure(error.args[0]) from error

    def close(self) -> None:
        """Give up an open transaction, if there is one."""
        try:
            self._producer.abort_transaction(ANSWER_S)
        except KafkaException:
            return  # there is none, or it is another's by now: the broker ends it

    def _produce(self, raw: Raw) -> None:
        deadline = time.monotonic() + ANSWER_S
        while True:
            try:
                self._producer.produce(raw.topic, raw.value, raw.key, partition=raw.partition, timestamp=raw.timestamp)
                return
            except BufferError:
                self._producer.poll(0.1)
                if time.monotonic() > deadline:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None

    def _commit(self) -> None:
        for left in range(TRIES - 1, -1, -1):
            try:
                self._producer.commit_transaction(ANSWER_S)
                return
            except KafkaException as error:
                if not (error.args[0].retriable() and left):
                    raise

    def _failure(self, error: KafkaError) -> SendError:
        if error.code() in (KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
            return SupersededError(f"another {self._name} has begun; it goes on with what this one has not sent")
        if error.txn_requires_abort():
            self.close()
            return SendError(f"Kafka refused a batch of {self._name} ({error.str()}); nothing of this batch was sent")
        return SendError(
            f"{self._name} has stopped: {error.str()}. Batches before this one were sent, this one wholly or not at all; "
            "run the command again: the log of replays knows"
        )
