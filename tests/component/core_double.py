"""A stand-in for job `profiles` that judges as it does: the pure core between the raw topics and the clean ones, without the engine."""

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

from config import loader
from pipelines.identity.nodes import Nodes, profile_of
from pipelines.ingest.checks import Rules
from pipelines.ingest.decode import Decoder
from pipelines.ingest.personal import Masker
from pipelines.ingest.records import duplicate_record, event_record, rejected_record
from pipelines.wire import Event, Rejected
from tests.in_process import KEY, InProcess

GROUP = "cdp-profiles"


class CoreDouble:
    """Reads the raw topics as the job does (committed records only), and writes what comes out of them.

    Attributes:
        outcomes: what became of each raw record, by `(topic, partition, offset)`; in the order of the log.
    """

    def __init__(self) -> None:
        platform, identity = loader.platform(), loader.identity()
        nodes = Nodes(identity, KEY)
        self._core = InProcess()
        self._decoder = Decoder(platform, nodes, Masker(identity, nodes), Rules.configured())
        self.outcomes = self._core.outcomes
        servers = {"bootstrap.servers": platform.kafka.bootstrap, "log_level": 0}
        self._producer = Producer({**servers, "transactional.id": "core-double"})
        self._producer.init_transactions(30)
        settings = {"group.id": GROUP, "isolation.level": "read_committed", "enable.auto.commit": False, "enable.partition.eof": True}
        self._consumer = Consumer({**servers, **settings, "auto.offset.reset": "earliest"})
        raw = loader.topics().raw()
        listed = self._consumer.list_topics(timeout=10.0).topics
        self._parts = [TopicPartition(topic, number, 0) for topic in raw for number in listed[topic].partitions]
        self._consumer.assign(self._parts)

    def catch_up(self) -> None:
        """Let come out whatever is in the raw topics by now; what is behind an open transaction is not."""
        messages: list[Message] = []
        open_ends = {(part.topic, part.partition) for part in self._parts}
        self._consumer.assign(self._consumer.position(self._parts) if self.outcomes else self._parts)
        while open_ends:
            for message in self._consumer.consume(10_000, 0.1):
                error = message.error()
                if error is None:
                    messages.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF
                    open_ends.discard((message.topic() or "", message.partition() or 0))
        self._producer.begin_transaction()
        for message in sorted(messages, key=lambda one: (one.timestamp()[1], one.topic() or "", one.partition() or 0, one.offset() or 0)):
            self._come_out(message)
        self._producer.commit_transaction(30)
        self._consumer.commit(offsets=self._consumer.position(self._parts), asynchronous=False)

    def _come_out(self, message: Message) -> None:
        value, log_ms = message.value(), message.timestamp()[1]
        position = message.topic() or "", message.partition() or 0, message.offset() or 0
        self._core.record(value, *position, log_ms)
        outcome, found = self.outcomes[position], self._decoder.decode(value, *position, log_ms)
        if found is None:
            return
        if isinstance(found, Event) and outcome == "applied":
            key, record = event_record(found, profile_of(found.node), len(self.outcomes))
            self._producer.produce("cdp.events", record, key)
        elif isinstance(found, Event) and outcome == "duplicate":
            key, record = duplicate_record(found, "message_id")
            self._producer.produce("cdp.duplicates", record, key)
        else:
            why = found if isinstance(found, Rejected) else Rejected(outcome, "$.messageId", "one body", found.tenant, found.message_id)
            key, record = rejected_record(why, *position, log_ms, value)
            self._producer.produce("cdp.rejected", record, key)
        self._producer.poll(0)
