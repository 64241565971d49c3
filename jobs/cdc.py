"""Job `cdc`: what Debezium wrote about the tables of an ERP or a help desk becomes events on the raw topics.

    python -m jobs.cdc                      # the sources of kind cdc in config/sources.yaml
    python -m jobs.cdc --source erp --tenant demo --topic cdp.raw.orders --table erp.public.orders=cdc/orders.yaml ...

Offsets are committed after Kafka has acknowledged what came of them, and ids come from the source's log: a restart repeats messages, never
events. Without a source it waits. Exit codes: 0 asked to stop, 1 an error that a restart may cure.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from config import loader
from config.sources import DECIMALS, UNAVAILABLE, Source
from operations.process import run_until_stopped

if TYPE_CHECKING:
    from importers.cdc.bridge import CdcSource

TELL_EVERY_S: Final = 60.0
_log = logging.getLogger("jobs.cdc")


def run(sources: "Sequence[CdcSource]", folder: Path, stop: Event, retry_for_s: float, instance: str = "0") -> None:
    """Bridge until told to stop.

    Args:
        sources: at least one, each with its own Debezium topics.
        folder: of the mapping files.
        stop: set from outside.
        retry_for_s: how long Kafka may refuse what is sent.
        instance: name of this member of the group.

    Raises:
        MappingError: a mapping cannot be used.
        SendError: Kafka did not take what was sent.
        KafkaException: Kafka refuses to be read, or another process of this name has taken over.
        LogCutError: a topic ends before the place up to which it was read.
    """
    from importers.cdc.bridge import load_bridge
    from importers.cdc.consumer import Consumer
    from importers.cdc.delivery import Delivery
    from importers.sender import Sender

    bootstrap = loader.platform().kafka.bootstrap
    bridges = [load_bridge(source, folder) for source in sources]
    delivery = Delivery(bridges, Sender(bootstrap, retry_for_s), lambda: int(time.time() * 1000))
    consumer = Consumer(bootstrap, delivery.topics(), instance)
    told_at = time.monotonic()
    try:
        while not stop.is_set():
            records = consumer.read()
            for line in delivery.deliver(records):
                _log.warning("%s", line)
            consumer.commit(records)
            if time.monotonic() - told_at >= TELL_EVERY_S:
                _log.info("%s", json.dumps(delivery.freshness.take()))
                told_at = time.monotonic()
    finally:
        consumer.close()
        _log.info("%s", json.dumps(delivery.freshness.take()))


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m jobs.cdc", description="Turn Debezium's records into events.")
    parser.add_argument("--source", help="name of the source; part of every message id")
    parser.add_argument("--tenant", default="", help="whose events they are (default: the platform's)")
    parser.add_argument("--topic", default="cdp.raw.orders", help="raw topic they go to")
    parser.add_argument("--table", action="append", default=[], metavar="TOPIC=MAPPING", help="a topic of Debezium and its mapping file")
    parser.add_argument("--schema-changes", default="", metavar="TOPIC", help="Debezium's schema-change topic")
    parser.add_argument("--decimals", default="", choices=DECIMALS, help="the connector's decimal.handling.mode (default: not said)")
    parser.add_argument("--unavailable", default=UNAVAILABLE, metavar="TEXT", help="the connector's unavailable.value.placeholder")
    parser.add_argument("--mappings", type=Path, help="folder of the mapping files (default: mappings in the configuration)")
    parser.add_argument("--instance", default="0", help="name of this member; another process of the same name replaces it")
    parser.add_argument("--retry-for", type=float, default=120, metavar="S", help="how long to wait for Kafka (default: 120)")
    arguments = parser.parse_args()
    if not arguments.table and not _configured():
        return run_until_stopped(_log, _wait, ())
    return _bridge(arguments)


def _wait(stop: Event) -> None:
    _log.info("no source of kind cdc has tables (config/sources.yaml): nothing to do")
    stop.wait()


def _configured() -> dict[str, Source]:
    """The sources that name tables of Debezium."""
    return {name: source for name, source in loader.sources().items() if source.tables}


def _bridge(arguments: argparse.Namespace) -> int:
    from confluent_kafka import KafkaException

    from importers.cdc.bridge import CdcSource, configured
    from importers.cdc.progress import LogCutError
    from importers.mapping import MappingError
    from importers.sender import SendError

    tables = dict(pair.partition("=")[::2] for pair in arguments.table)
    given = CdcSource(
        name=arguments.source or "cdc",
        tenant=arguments.tenant or loader.platform().default_tenant,
        topic=arguments.topic,
        tables=tables,
        schema_changes=arguments.schema_changes,
        decimals=arguments.decimals,
        unavailable=arguments.unavailable,
    )

    def work(stop: Event) -> None:
        sources = [given] if tables else [configured(name, source) for name, source in _configured().items()]
        run(sources, arguments.mappings or loader.folder() / "mappings", stop, arguments.retry_for, arguments.instance)

    return run_until_stopped(_log, work, (KafkaException, LogCutError, MappingError, SendError, loader.ConfigError))


if __name__ == "__main__":
    sys.exit(main())
