"""Job `quality`: measures each minute of log time once it is over, and says when something got worse and where it comes from.

    python -m jobs.quality

One instance is enough: the work is done inside ClickHouse. A second one would write the same rows again. Exit codes: 0 asked to stop,
1 an error that a restart may cure.
"""

import argparse
import logging
import sys
import time
from threading import Event

from confluent_kafka import KafkaException

from config import loader as config
from config import quality as settings
from operations.process import run_until_stopped
from pipelines.history.group import LogAwayError
from pipelines.quality import plan
from pipelines.quality.closed_minutes import ClosedMinutes
from pipelines.quality.progress import Progress
from pipelines.quality.rounds import Rounds
from pipelines.quality.schema import ensure_schema, missing_history
from pipelines.rules.errors import RuleError
from schemas import contracts
from sinks.alerts import Outbox, channels
from sinks.clickhouse import ClickHouse, ClickHouseAwayError, ClickHouseError, wait_until_up

LOOK_S = 2.0
_log = logging.getLogger("jobs.quality")


class HistoryMissingError(Exception):
    """Job `history` has not made its tables within the time allowed."""


_EXPECTED = (ClickHouseError, HistoryMissingError, KafkaException, LogAwayError, RuleError, config.ConfigError)


def run(stop: Event, retry_for_s: float = 300) -> None:
    """Measure until told to stop. After any trouble with ClickHouse begin anew with what it says has been done."""
    platform, quality = config.platform(), settings.quality()
    made = plan.make(quality, contracts.load(), config.sources())
    server, root = ClickHouse(platform.clickhouse), ClickHouse(platform.clickhouse, database="")
    wait_until_up(root, retry_for_s, stop.wait)
    wait_for_history(server, root, stop, retry_for_s)
    ensure_schema(server, quality.keep_days)
    closed_minutes = ClosedMinutes(platform.kafka.bootstrap, config.topics().raw(), quality.grace_s, retry_for_s, stop.wait)
    out = channels(quality.delivery, platform.kafka.bootstrap)
    progress, well_s = Progress(), time.monotonic()
    try:
        while not stop.is_set():
            try:
                rounds = Rounds(server, made, closed_minutes, Outbox(server, out), list(out), platform.default_tenant, progress)
                while not stop.is_set():
                    rounds.turn(stop.is_set)
                    well_s = time.monotonic()
                    stop.wait(LOOK_S)
            except ClickHouseAwayError as error:
                if time.monotonic() - well_s > retry_for_s:
                    raise
                _log.warning("%s; beginning anew", error)
                stop.wait(1.0)
    finally:
        closed_minutes.close()


def wait_for_history(server: ClickHouse, root: ClickHouse, stop: Event, wait_s: float) -> None:
    """Wait for the tables that job `history` makes.

    Raises:
        HistoryMissingError: they are not there after `wait_s`.
    """
    until = time.monotonic() + wait_s
    while missing := missing_history(server, root):
        if time.monotonic() > until:
            raise HistoryMissingError(missing)
        if stop.wait(1.0):
            raise HistoryMissingError(f"told to stop: {missing}")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m jobs.quality", description="Measure data quality, minute by minute, and raise alerts.")
    parser.add_argument("--retry-for", type=float, default=300, metavar="S", help="how long to wait for ClickHouse or Kafka (default: 300)")
    arguments = parser.parse_args()
    return run_until_stopped(_log, lambda stop: run(stop, arguments.retry_for), _EXPECTED)


if __name__ == "__main__":
    sys.exit(main())
