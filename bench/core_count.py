"""Send the workload through the pure core and say how large its state is; `bench.core_pair` counts the instructions it takes.

python -m bench.core_count EVENTS PROFILES
"""

import sys
import time

import msgspec

from bench import workload
from bench.core import Clock, Core
from bench.events import Events

BATCH = 100
CACHED = 50_000


def main() -> None:
    """One event for each profile, then so many more; prints bytes of state as JSON."""
    count, profiles = int(sys.argv[1]), int(sys.argv[2])
    load = msgspec.structs.replace(workload.read(), profiles=profiles)
    stream, core = Events(load), Core(Clock(), CACHED)
    now_ms = int(time.time() * 1000)
    batches = [list(stream.seeds(iter(range(profiles)))), *(stream.batch(BATCH, now_ms + start) for start in range(0, count, BATCH))]
    for batch in batches:
        for topic, _, value in batch:
            core.record(topic, value, now_ms)
    heads, kept = sum(map(len, core.heads.values())), sum(map(len, core.profiles.values()))
    ledger = sum(len(key) + len(value) for store in core.ledgers.values() for key, value in store.records.items())
    print(msgspec.json.encode({"node": heads, "ledger": ledger, "profile": kept}).decode())


if __name__ == "__main__":
    main()
