"""Exactly-once Kafka sinks: rows of ready-made key and value bytes into a transaction per checkpoint."""

from pyflink.common.serialization import RowFieldExtractorSchema
from pyflink.datastream import DataStream
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import KafkaRecordSerializationSchema, KafkaSink
from pyflink.java_gateway import get_gateway

# Longer than any outage we promise to survive: a transaction past its timeout is aborted by the broker, and counted records would be gone.
# The broker allows up to `transaction.max.timeout.ms` (config/stack.yaml).
TRANSACTION_TIMEOUT_MS = 7 * 86_400_000
# Records are seen when their transaction commits, with the checkpoint, and that flushes what lingers: fewer requests for nothing lost.
LINGER_MS = 100
# For a topic that somebody reads uncommitted, as soon as a record is written.
AT_ONCE_MS = 5


def write_records(stream: DataStream, topic: str, bootstrap: str, job: str, group: str, linger_ms: int = LINGER_MS) -> None:
    """Write rows whose first two fields are key and value bytes to a topic, exactly once.

    Args:
        stream: rows; further fields are ignored.
        topic: target.
        bootstrap: brokers.
        job: name of the job; with the topic it makes the transactional id, which must be the same after every restart.
        group: slot-sharing group.
        linger_ms: how long a record may wait for others to be sent with.
    """
    serializer = (
        KafkaRecordSerializationSchema.builder()
        .set_topic(topic)
        .set_key_serialization_schema(RowFieldExtractorSchema(0))
        .set_value_serialization_schema(RowFieldExtractorSchema(1))
        .build()
    )
    # Without this a sink names a transaction after each checkpoint: five new ids a second, and a broker keeps ids in memory for weeks
    # (`transactional.id.expiration.ms`). Out of a pool it takes a few in turn.
    naming = get_gateway().jvm.org.apache.flink.connector.kafka.sink.TransactionNamingStrategy.POOLING
    builder = KafkaSink.builder()
    builder._j_builder.setTransactionNamingStrategy(naming)
    sink = (
        builder.set_bootstrap_servers(bootstrap)
        .set_record_serializer(serializer)
        .set_delivery_guarantee(DeliveryGuarantee.EXACTLY_ONCE)
        .set_transactional_id_prefix(f"cdp-{job}-{topic}")
        .set_property("transaction.timeout.ms", str(TRANSACTION_TIMEOUT_MS))
        .set_property("compression.type", "lz4")
        .set_property("linger.ms", str(linger_ms))
        .set_property("batch.size", "131072")
        .set_property("max.request.size", "4194304")
        .build()
    )
    name = f"write {topic}"
    stream.sink_to(sink).uid(name).name(name).slot_sharing_group(group)
