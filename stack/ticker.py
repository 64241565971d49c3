"""Make time pass where nobody writes: one tick a second to every partition of every raw topic that stamps records with the broker's time.

And watch that it passes as it should: see `stack.watch`.

`python -m stack.ticker`, supervised. Topics on the producer's clock are left alone: whoever replays into them ticks in its own time.
"""

import time

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from config import loader
from operations.process import told_to_stop
from stack import redis, settings, topics, transactions, watch
from stack.errors import StackError

TICK = b'{"type":"tick"}'
EVERY_S = 1.0
TRANSACTIONS_EVERY_S = 30.0
# The broker replaces it. Should a topic have moved to the producer's clock since we looked, such a tick moves nothing there;
# one with the present time would push a replay of last year out of its windows. (0 would mean "now" to the client.)
EPOCH_MS = 1


def main() -> None:
    """Tick until SIGTERM."""
    halt = told_to_stop()
    bootstrap: dict[str, str | int | float | bool] = {"bootstrap.servers": loader.platform().kafka.bootstrap, "log_level": 0}
    producer = Producer(bootstrap | {"linger.ms": 0, "acks": "all", "message.timeout.ms": 5000, "queue.buffering.max.messages": 10_000})
    admin = AdminClient(bootstrap)
    here = settings.load()
    bell = watch.Bell(producer, _say, board=here.alarms if here.run.is_dir() else None)
    last_said, looked_s = "", 0.0
    while not halt.wait(EVERY_S):
        try:
            ticked = tick(producer, admin)
            said = f"ticking: {', '.join(ticked)}" if ticked else "no topic is on the live clock"
        except (KafkaException, BufferError) as error:
            # Kafka is down or its topics are not there yet: the supervisor mends that, the next tick is a second away.
            said = f"no tick: {error}"
        if said != last_said:
            _say(said)
            last_said = said
        try:
            bell.ring("clock", clock_alarms(admin))
            if time.monotonic() - looked_s > TRANSACTIONS_EVERY_S:
                looked_s = time.monotonic()
                full = redis.pressure(loader.platform().redis.url)
                bell.ring("redis", [watch.Alarm("redis", "redis", full, "docs/operations.md, section Redis")] if full else [])
                bell.ring("transaction", watch.stuck(transactions.ours(loader.platform().kafka.bootstrap)))
        except (KafkaException, StackError, BufferError):
            continue  # Kafka is away: that is told above
    producer.flush(2.0)


def clock_alarms(admin: AdminClient) -> list[watch.Alarm]:
    """Raw partitions that are ahead of the clock on the wall.

    Raises:
        KafkaException: Kafka does not answer.
    """
    there = admin.list_topics(timeout=5.0).topics
    places = [(name, number) for name in loader.topics().raw() if name in there for number in there[name].partitions]
    return watch.ahead(topics.newest_ms(admin, places), int(time.time() * 1000), loader.platform().limits.max_future_s)


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}", flush=True)


def tick(producer: Producer, admin: AdminClient) -> list[str]:
    """Append one tick to every partition of the topics whose clock is the broker's; returns these topics.

    Raises:
        KafkaException: Kafka does not answer, or a raw topic is missing.
    """
    metadata = admin.list_topics(timeout=5.0).topics
    names = [name for name in loader.topics().raw() if name in metadata]
    live = [name for name, clock in topics.clocks(names, admin=admin).items() if clock == topics.CLOCKS["live"]]
    for name in live:
        for partition in metadata[name].partitions:
            producer.produce(name, TICK, partition=partition, timestamp=EPOCH_MS)
    producer.poll(0)
    return live


if __name__ == "__main__":
    main()
