"""The log's clock as somebody sees it who writes to the raw topics now."""

import time
from collections.abc import Mapping

from config import loader
from operations.raw_topics import newest_ms, partitions_of
from stack import topics


def clocks(partitions: Mapping[str, int]) -> dict[str, int]:
    """Timestamp, in ms, that a record written now has in each raw topic.

    A topic on the broker's clock stamps it with the present. One on the producer's clock (a replay of the past) takes what it is given:
    the newest time in the log then, because a later one would push everything out of its windows.

    Args:
        partitions: number of partitions of each raw topic.
    """
    bootstrap, present = loader.platform().kafka.bootstrap, int(time.time() * 1000)
    modes = topics.clocks(list(partitions), bootstrap)
    past = max(0, newest_ms(bootstrap, dict(partitions))) if topics.CLOCKS["replay"] in modes.values() else present
    return {topic: present if modes[topic] == topics.CLOCKS["live"] else past for topic in partitions}


def log_now() -> int:
    """The newest of the raw topics' clocks, ms."""
    return max(clocks(partitions_of(loader.platform().kafka.bootstrap, loader.topics().raw())).values())
