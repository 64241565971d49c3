"""Records of a source that nobody has described yet: a file whose dialect is guessed, or a topic."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from importers.files.opening import open_rows
from importers.files.rows import FileError
from importers.mapping.options import DEFAULT, Options
from schemas import json_text

SNIFFED: Final = 1 << 16
DELIMITERS: Final = ",;\t|"
TICK: Final = b'{"type":"tick"}'
ASK_S: Final = 15.0


class Look(NamedTuple):
    """One record, or None when it cannot be read."""

    record: dict[str, Any] | None


def guess_options(path: Path) -> Options:
    """Delimiter and encoding of a CSV file by its beginning; nothing is guessed of other files.

    Raises:
        FileError: it cannot be read.
    """
    name = path.name.removesuffix(".gz")
    if not name.endswith((".csv", ".tsv", ".txt")) or path.suffix == ".gz":
        return DEFAULT
    try:
        with path.open("rb") as file:
            beginning = file.read(SNIFFED)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error})") from error
    encoding = _encoding(beginning)
    lines = beginning.decode(encoding, errors="replace").splitlines()
    lines = lines[:-1] if len(beginning) == SNIFFED else lines
    return msgspec.structs.replace(DEFAULT, encoding=encoding, delimiter=max(DELIMITERS, key=lambda mark: _regularity(lines, mark)))


def of_file(path: Path, options: Options) -> Iterator[Look]:
    """Records of a file.

    Raises:
        FileError: it cannot be read.
    """
    reader = open_rows(path, options)
    try:
        for row in reader.rows():
            yield Look(None if row.failed else row.record)
    finally:
        reader.close()


def of_topic(bootstrap: str, topic: str) -> Iterator[Look]:
    """JSON records of a topic, from its beginning to its end; ticks and tombstones are left out, of Debezium's records the row is taken.

    Raises:
        FileError: there is no such topic, or Kafka does not answer.
    """
    settings: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "group.id": "cdp-profile", "enable.auto.commit": False}
    consumer = Consumer(settings | {"enable.partition.eof": True, "auto.offset.reset": "earliest", "log_level": 0})
    try:
        known = consumer.list_topics(timeout=ASK_S).topics
        if topic not in known:
            raise FileError(f"there is neither a file nor a topic `{topic}`; topics: {', '.join(sorted(known))}")
        open_ends = set(known[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in open_ends])
        while open_ends:
            for message in consumer.consume(1000, 1.0):
                error = message.error()
                if error is None:
                    value = message.value()
                    if value is not None and value != TICK:
                        yield Look(_record(value if isinstance(value, bytes) else value.encode()))
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_ends.discard(message.partition())
                elif not error.retriable():
                    raise KafkaException(error)
    except KafkaException as error:
        raise FileError(f"Kafka at {bootstrap} does not answer ({error.args[0].str()}): start the stack with `cdp up`") from error
    finally:
        consumer.close()


def _record(value: bytes) -> dict[str, Any] | None:
    try:
        loaded = json_text.read(value, wide=True)
    except json_text.JsonTextError:
        return None
    if isinstance(loaded, dict) and loaded.keys() == {"schema", "payload"}:
        loaded = loaded["payload"]
    if isinstance(loaded, dict) and {"op", "source"} <= loaded.keys():
        loaded = loaded.get("after") or loaded.get("before")
    return loaded if isinstance(loaded, dict) else None


def _encoding(beginning: bytes) -> str:
    if beginning[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    try:
        beginning[: len(beginning) - 4 if len(beginning) == SNIFFED else None].decode()
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _regularity(lines: list[str], delimiter: str) -> tuple[float, int]:
    """How many of the first lines have as many cells as the first one, and how many these are; one cell is no table."""
    try:
        widths = [len(cells) for cells in csv.reader(lines[:200], delimiter=delimiter) if cells]
    except csv.Error:
        return 0.0, 0
    if not widths or widths[0] < 2:
        return 0.0, 0
    return sum(width == widths[0] for width in widths) / len(widths), widths[0]
