"""Job `serve`: the changes of profiles become live profiles in Redis (docs/decisions/0018-serving-without-beam.md).

    python -m jobs.serve [--instance NAME]

Several instances with different names share the partitions. Exit codes: 0 asked to stop, 1 an error that a restart may cure.
"""

import argparse
import logging
import os
import sys
import time
from threading import Event

from config import loader as config
from operations.process import run_until_stopped
from pipelines.serving.changes import FATAL, Changes
from pipelines.serving.progress import Progress
from pipelines.serving.server import GAP_RECORDS, Limits, Server
from profile_store import patch
from profile_store.errors import ProfileStoreError
from profile_store.journal import Journal
from profile_store.writer import ProfileWriter
from schemas import clean
from schemas.registry import VARIABLE, RegistryError

READ_TIMEOUT_S = 0.1
_log = logging.getLogger("jobs.serve")


class StoppedError(Exception):
    """Told to stop while a store was away."""


_EXPECTED = (*FATAL, ProfileStoreError, RegistryError, StoppedError, clean.UnknownSchemaError, config.ConfigError)


def run(instance: str, stop: Event, retry_for_s: float = 300, limits: Limits | None = None) -> None:
    """Serve until told to stop."""
    platform = config.platform()
    os.environ.setdefault(VARIABLE, platform.schema_registry.url)  # started by hand, without the stack's environment

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise StoppedError

    changes = Changes(platform.kafka.bootstrap, instance, retry_for_s, stop.wait)
    journal = Journal(changes.log_id)
    writer = ProfileWriter(platform.redis.url, retry_for_s, journal, sleep)
    server = Server(changes, writer, lambda: journal.covered, lambda value: patch.from_record(clean.decode(value)), limits)
    progress = Progress(server, changes.commit, writer.warning)
    try:
        changes.join(server.assign, lambda: journal.covered.clear())
        while not stop.is_set():
            server.turn(READ_TIMEOUT_S)
            progress.say(time.monotonic())
        server.note()
        progress.say(time.monotonic() + progress.every_s)
    finally:
        changes.close()
        writer.close()


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m jobs.serve", description="Write the changes of profiles into Redis.")
    parser.add_argument("--instance", default="0", help="name of this member; another process of the same name replaces it")
    parser.add_argument("--retry-for", type=float, default=300, metavar="S", help="how long to wait for Redis or Kafka (default: 300)")
    gap = f"records Redis may lack before the newest go first (default: {GAP_RECORDS})"
    parser.add_argument("--gap", type=int, default=GAP_RECORDS, metavar="N", help=gap)
    arguments = parser.parse_args()
    limits = Limits(gap=arguments.gap)
    return run_until_stopped(_log, lambda stop: run(arguments.instance, stop, arguments.retry_for, limits), _EXPECTED)


if __name__ == "__main__":
    sys.exit(main())
