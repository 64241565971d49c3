"""Messages to Kafka: acknowledged by all replicas, each once per sender, retried for a bounded time."""

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer

SETTINGS: Final[dict[str, str | int | float | bool]] = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "lz4",
    "linger.ms": 20,
    "message.max.bytes": 2_097_152,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 131_072,
    "log_level": 3,
}
_POLL_S: Final = 0.1


class SendError(RuntimeError):
    """Kafka did not take a message in time; the message says what to do."""


class Sender:
    """Sends to one Kafka.

    Args:
        bootstrap: brokers.
        retry_for_s: how long a message may wait for its acknowledgement.
        idle: called while it waits, e.g. to keep a consumer in its group.
    """

    def __init__(self, bootstrap: str, retry_for_s: float = 120.0, idle: Callable[[], None] | None = None) -> None:
        self._retry_for_s = retry_for_s
        self._idle = idle
        self._errors: list[str] = []
        self._producer = Producer({**SETTINGS, "bootstrap.servers": bootstrap, "message.timeout.ms": int(retry_for_s * 1000)})

    def send(self, topic: str, key: bytes, value: bytes) -> None:
        """Hand a message over; its acknowledgement is waited for by `flush`.

        Raises:
            SendError: Kafka took nothing for too long, or refuses this message (too large; see `importers.envelope.too_large`).
        """
        deadline = time.monotonic() + self._retry_for_s
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, on_delivery=self._delivered)
                self._producer.poll(0)
                return
            except BufferError:
                self._wait(deadline)
            except KafkaException as error:
                raise SendError(f"Kafka refuses a message for {topic}: {error.args[0].str()}") from error

    def flush(self) -> None:
        """Wait until everything that was handed over is acknowledged.

        Raises:
            SendError: something was not, in time.
        """
        deadline = time.monotonic() + self._retry_for_s + 10
        while len(self._producer):
            self._wait(deadline)
        self._check()

    def _wait(self, deadline: float) -> None:
        self._producer.flush(_POLL_S)
        self._check()
        if self._idle is not None:
            self._idle()
        if time.monotonic() > deadline:
            raise SendError(f"Kafka has taken nothing for {self._retry_for_s:.0f} s: is it up? (`cdp status`)")

    def _delivered(self, error: KafkaError | None, message: object) -> None:
        if error is not None:
            self._errors.append(error.str())

    def _check(self) -> None:
        if self._errors:
            count, first = len(self._errors), self._errors[0]
            self._errors.clear()
            raise SendError(f"{count:,} messages were not taken by Kafka ({first}): is it up, and is the topic there? (`cdp topics`)")
