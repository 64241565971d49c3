"""Make time pass where nobody writes: one tick a second to every partition of every raw topic that stamps records with the broker's time.

`python -m stack.ticker`, supervised. Topics on the producer's clock are left alone: whoever replays into them ticks in its own time.
"""

import signal
import threading
from types import FrameType

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient

from config import loader
from stack import topics

TICK = b'{"type":"tick"}'
EVERY_S = 1.0


def main() -> None:
    """Tick until SIGTERM."""
    halt = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        halt.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    bootstrap = {"bootstrap.servers": loader.platform().kafka.bootstrap, "log_level": 0}
    producer = Producer(bootstrap | {"linger.ms": 0, "acks": "all", "message.timeout.ms": 5000, "queue.buffering.max.messages": 10_000})
    admin = AdminClient(bootstrap)
    complaint = ""
    while not halt.wait(EVERY_S):
        try:
            tick(producer, admin)
            if complaint:
                print("ticking again", flush=True)
            complaint = ""
        except (KafkaException, BufferError) as error:
            # Kafka is down or its topics are not there yet: the supervisor mends that, the next tick is a second away.
            if str(error) != complaint:
                complaint = str(error)
                print(f"no tick: {complaint}", flush=True)
    producer.flush(2.0)


def tick(producer: Producer, admin: AdminClient) -> None:
    """Append one tick to every partition of the topics whose clock is the broker's.

    Raises:
        KafkaException: Kafka does not answer, or a raw topic is missing.
    """
    metadata = admin.list_topics(timeout=5.0).topics
    names = [name for name in loader.topics().raw() if name in metadata]
    for name, clock in topics.clocks(names, admin=admin).items():
        if clock == topics.CLOCKS["live"]:
            for partition in metadata[name].partitions:
                producer.produce(name, TICK, partition=partition)
    producer.poll(0)


if __name__ == "__main__":
    main()
