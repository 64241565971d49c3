"""What a customer takes in the pure core's caches: one node and one profile, as they lie decoded after an event.

python -m bench.core_memory PROFILES

The state of all customers is made with empty caches; then each is touched once more with caches that hold them all, and the resident
memory of before is subtracted.
"""

import gc
import sys
import time

import msgspec
import psutil

from bench import workload
from bench.core import Clock, Core
from bench.events import Events

EVENTS_EACH = 3
BATCH = 500


def main() -> None:
    """Prints bytes a customer as JSON."""
    profiles = int(sys.argv[1])
    load = msgspec.structs.replace(workload.read(), profiles=profiles)
    stream, core = Events(load), Core(Clock(), 1)
    now_ms = int(time.time() * 1000)
    sent = stream.seeds(iter(range(profiles)))
    for topic, _, value in sent:
        core.record(topic, value, now_ms)
    for _ in range(0, profiles * EVENTS_EACH, BATCH):
        for topic, _, value in stream.batch(BATCH, now_ms):
            core.record(topic, value, now_ms)
    again = list(stream.seeds(iter(range(profiles))))
    for cache in (core._nodes, core._profiles):
        cache._size = 2 * profiles
    gc.collect()
    before = psutil.Process().memory_info().rss
    for topic, _, value in again:
        core.record(topic, value, now_ms)
    gc.collect()
    after = psutil.Process().memory_info().rss
    print(msgspec.json.encode({"cached": round((after - before) / profiles)}).decode())


if __name__ == "__main__":
    main()
