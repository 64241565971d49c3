"""All services of the stack, in the order in which `cdp status` shows them."""

import sys

from stack import clickhouse, flink, kafka, redis
from stack.service import Service
from stack.settings import Settings

PARTS = {"kafka": ["kafka"], "clickhouse": ["clickhouse"], "jobmanager": ["flink-connector"]}


def services(settings: Settings) -> list[Service]:
    """Every service."""
    return [kafka.service(settings), redis.service(settings), clickhouse.service(settings), *flink.services(settings), ticker(settings)]


def ticker(settings: Settings) -> Service:
    """The process that makes time pass where nobody writes."""
    return Service(name="ticker", command=[sys.executable, "-m", "stack.ticker"], needs=["kafka"], probe=lambda: True)


def select(settings: Settings, only: list[str]) -> list[Service]:
    """The named services and all they need; all of them when no name is given. `flink` stands for the JobManager and its TaskManagers.

    Raises:
        ValueError: there is no service of that name.
    """
    everything = {service.name: service for service in services(settings)}
    if not only:
        return list(everything.values())
    chosen: set[str] = set()
    todo = [name for word in only for name in _expand(word, everything)]
    while todo:
        service = everything[todo.pop()]
        if service.name not in chosen:
            chosen.add(service.name)
            todo += service.needs
    return [service for service in everything.values() if service.name in chosen]


def parts_of(chosen: list[Service]) -> list[str]:
    """Downloads that services need."""
    return [part for service in chosen for part in PARTS.get(service.name, [])]


def _expand(word: str, everything: dict[str, Service]) -> list[str]:
    if word == "flink":
        return [name for name in everything if name.startswith(("jobmanager", "taskmanager"))]
    if word not in everything:
        raise ValueError(f"there is no service `{word}`: choose from flink, {', '.join(everything)}")
    return [word]
