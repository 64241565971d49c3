"""Building blocks of the jobs' graphs: sources, keys from the JVM, stable operator ids."""

import os
import time
from collections.abc import Mapping
from typing import Any, Final

from pyflink.common import Configuration, TypeInformation
from pyflink.datastream import DataStream, KeyedStream, OutputTag, StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment

from config.platform import Limits
from pipelines.operators import KEYED, RAW, TEXT

MAX_PARALLELISM: Final = 1024
RUN_VARIABLE: Final = "CDP_JOB_RUN"
COMMITTED, UNCOMMITTED = "read_committed", "read_uncommitted"
_ISOLATION: Final = "isolation.level"


def environment(parallelism: int) -> tuple[StreamExecutionEnvironment, StreamTableEnvironment]:
    """The execution environment all jobs use.

    Args:
        parallelism: of every operator.
    """
    conf = Configuration()
    for key, value in {
        "python.execution-mode": "thread",  # each operator checks where it has landed: `require_thread_mode`
        "pipeline.object-reuse": "true",
        "pipeline.auto-watermark-interval": "50 ms",
        "pipeline.max-parallelism": str(MAX_PARALLELISM),
        "python.fn-execution.bundle.time": "20",
        "python.fn-execution.bundle.size": "2000",
        "execution.buffer-timeout.interval": "10 ms",
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": "true",
        "table.local-time-zone": "UTC",
    }.items():
        conf.set_string(key, value)
    env = StreamExecutionEnvironment.get_execution_environment(conf)
    env.set_parallelism(parallelism)
    return env, StreamTableEnvironment.create(env)


def run_number() -> int:
    """Number of this submission, greater than that of every earlier one: the supervisor's (`stack.run_book`), by hand the seconds."""
    return int(os.environ.get(RUN_VARIABLE) or time.time())


def key_in_jvm(stream: DataStream, key_type: TypeInformation = TEXT) -> KeyedStream:
    """Key rows by their first field with Flink's own selector: a Python `key_by` would add an operator and twice the cost.

    Args:
        stream: rows `(key, ...)`.
        key_type: type of the key field.
    """
    jvm = get_gateway().jvm
    selector = jvm.org.apache.flink.streaming.api.functions.python.KeyByKeySelector()
    row_key = jvm.org.apache.flink.api.common.typeinfo.Types.ROW(_array(jvm, [key_type.get_java_type_info()]))
    return KeyedStream(stream._j_data_stream.keyBy(selector, row_key), key_type, stream)


def side_output(stream: DataStream, name: str, kind: TypeInformation) -> DataStream:
    """A side output as it leaves the operator.

    PyFlink's own `get_side_output` adds an identity map in Python, which costs as much as an operator.

    Args:
        stream: output of the operator.
        name: of the side output.
        kind: type of its rows.
    """
    return DataStream(stream._j_data_stream.getSideOutput(OutputTag(name, kind).get_java_output_tag()))


def _array(jvm: Any, items: list[Any]) -> Any:
    array = get_gateway().new_array(jvm.org.apache.flink.api.common.typeinfo.TypeInformation, len(items))
    for index, item in enumerate(items):
        array[index] = item
    return array


def raw_source(tables: StreamTableEnvironment, topic: str, bootstrap: str, group_id: str, limits: Limits, slots: str) -> DataStream:
    """A raw topic as rows `RAW`, with watermarks per partition on the record timestamp: the log's own clock.

    Args:
        tables: table environment.
        topic: raw topic; it must exist.
        bootstrap: brokers.
        group_id: consumer group under which offsets are committed, for lag to be seen.
        limits: `drift_s`, log time by which partitions of raw topics may be read apart; `clock_ahead_s`, by how much a record may move the
            watermark ahead of this machine's clock (`decode` rejects records beyond). Both in s.
        slots: slot-sharing group.
    """
    table = topic.replace(".", "_")
    # The watermark stays 1 ms behind: a timer due at t fires only when every record up to and including t has been read.
    tables.execute_sql(f"""
        CREATE TABLE {table} (
            `value` BYTES,
            `partition` INT METADATA VIRTUAL,
            `offset` BIGINT METADATA VIRTUAL,
            `ts` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
            `clock` AS LEAST(`ts`, TIMESTAMPADD(SECOND, {limits.clock_ahead_s}, CURRENT_ROW_TIMESTAMP())),
            WATERMARK FOR `clock` AS `clock` - INTERVAL '0.001' SECOND
        ) WITH ({_options(topic, bootstrap, group_id, _STEADY)},
            'scan.watermark.alignment.group' = 'raw', 'scan.watermark.alignment.max-drift' = '{limits.drift_s} s',
            'scan.watermark.alignment.update-interval' = '200 ms')
    """)
    at = "CAST(`ts` AS TIMESTAMP(3))"
    query = f"""
        SELECT '{topic}' AS `source`, `partition`, `offset`, EXTRACT(EPOCH FROM {at}) * 1000 + EXTRACT(MILLISECOND FROM {at}) AS
        `log_time`, `value`
        FROM {table}
    """
    stream = tables.to_append_stream(tables.sql_query(query), RAW)
    return pinned(stream, f"read {topic}", slots)


def control_source(
    tables: StreamTableEnvironment, topic: str, bootstrap: str, group_id: str, slots: str, isolation: str = COMMITTED
) -> DataStream:
    """A control topic (links, pokes, definitions) as rows `KEYED`, values framed. It never holds back the log's clock.

    Args:
        tables: table environment.
        topic: control topic; it must exist.
        bootstrap: brokers.
        group_id: see `raw_source`.
        slots: see `raw_source`.
        isolation: `COMMITTED`, or `UNCOMMITTED` where nobody may wait for a transaction and every record counts, whatever became of it.
    """
    table = topic.replace(".", "_")
    # Its own time says nothing about raw events: each record lifts its watermark a thousand years ahead, and before the first it counts
    # as idle.
    tables.execute_sql(f"""
        CREATE TABLE {table} (
            `key` STRING,
            `value` BYTES,
            `partition` INT METADATA VIRTUAL,
            `offset` BIGINT METADATA VIRTUAL,
            `ts` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
            `ahead` AS TIMESTAMPADD(YEAR, 1000, `ts`),
            WATERMARK FOR `ahead` AS `ahead`
        ) WITH ({_options(topic, bootstrap, group_id, _RARE | {_ISOLATION: isolation})},
            'key.format' = 'raw', 'key.fields' = 'key', 'value.fields-include' = 'EXCEPT_KEY',
            'scan.watermark.idle-timeout' = '500 ms')
    """)
    # As `pipelines.control.frame` writes it: a record that is rejected has to say where it stands. Latin-1 keeps every byte.
    at = "CAST(`ts` AS TIMESTAMP(3))"
    ms = f"CAST(EXTRACT(EPOCH FROM {at}) * 1000 + EXTRACT(MILLISECOND FROM {at}) AS STRING)"
    place = f"'@' || CAST(`partition` AS STRING) || '|' || CAST(`offset` AS STRING) || '|' || {ms} || '|{topic}|'"
    framed = f"CAST(ENCODE({place} || DECODE(`value`, 'ISO-8859-1'), 'ISO-8859-1') AS BYTES)"
    query = f"SELECT COALESCE(`key`, '') AS `key`, {framed} AS `value` FROM {table} WHERE `value` IS NOT NULL"
    return pinned(tables.to_append_stream(tables.sql_query(query), KEYED), f"read {topic}", slots)


# How long a fetch waits, and for how many bytes. In a steady stream it waits a little for more to come: else records are fetched in
# handfuls, and brokers and source pay for each. Where records are rare the first one answers it, and there are two a second instead of
# a hundred.
_STEADY: Final = {"fetch.min.bytes": "32768", "fetch.max.wait.ms": "10"}
_RARE: Final = {"fetch.min.bytes": "1", "fetch.max.wait.ms": "500"}


def _options(topic: str, bootstrap: str, group_id: str, consumer: Mapping[str, str]) -> str:
    options = {
        "connector": "kafka",
        "topic": topic,
        "properties.bootstrap.servers": bootstrap,
        "properties.group.id": group_id,
        "properties.max.partition.fetch.bytes": "8388608",
        f"properties.{_ISOLATION}": COMMITTED,
        **{f"properties.{name}": value for name, value in consumer.items()},
        "scan.startup.mode": "earliest-offset",
        "value.format": "raw",
    }
    return ", ".join(f"'{key}' = '{value}'" for key, value in options.items())


def pinned(stream: DataStream, name: str, slots: str) -> DataStream:
    """Give every operator that SQL made for a stream an id of our own and a slot group.

    The planner numbers its operators as it goes: adding a table would hand one topic's offsets to another at the next restore.

    Args:
        stream: a stream that came out of the table API.
        name: prefix of the ids, unique in the job.
        slots: slot-sharing group.
    """
    waiting, seen = [stream._j_data_stream.getTransformation()], set()
    position = 0
    while waiting:
        transformation = waiting.pop()
        if transformation.getId() in seen or transformation.getUid() is not None:
            continue
        seen.add(transformation.getId())
        transformation.setUid(f"{name} {position}")
        if position == 0 or not list(transformation.getInputs()):
            transformation.setName(name)
        _never_start_over(transformation)
        transformation.setSlotSharingGroup(slots)
        position += 1
        waiting.extend(transformation.getInputs())
    return stream


def _never_start_over(transformation: Any) -> None:
    """Let a Kafka source fail when the broker has lost the end of its log, instead of reading everything again from the beginning.

    The connector sets `auto.offset.reset` from where a *new* source begins, and has no option for it. Where it begins is asked for
    otherwise, so the setting only counts when an offset is out of range.

    Args:
        transformation: one that SQL made.
    """
    if transformation.getClass().getSimpleName() != "SourceTransformation":
        return
    source = transformation.getSource()
    if source.getClass().getSimpleName() != "KafkaSource":
        return
    properties = source.getClass().getDeclaredField("props")
    properties.setAccessible(True)
    properties.get(source).setProperty("auto.offset.reset", "none")
