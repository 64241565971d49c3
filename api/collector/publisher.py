"""The bridge between asyncio and the Kafka producer: one future per request, however many events it has, and one thread that polls."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

LOG = logging.getLogger("collector")
POLL_S = 0.2
FLUSH_MARGIN_S = 2.0
MESSAGE_BYTES = 2_097_152  # as much as a raw topic takes

Record = tuple[bytes | None, bytes]


class AwayError(Exception):
    """Kafka did not acknowledge everything in time, or has no room; what was sent may or may not be in the topic."""


class Settings(msgspec.Struct, frozen=True):
    """How the producer is set up.

    Attributes:
        bootstrap: brokers.
        delivery_s: how long an event may take; then its request fails. Below the ten seconds after which SDKs give a request up.
        linger_ms: how long events wait for company.
        queue_events: how many may wait for Kafka.
        queue_kb: how much memory these may take.
    """

    bootstrap: str
    delivery_s: float = 8.0
    linger_ms: float = 1.0
    queue_events: int = 100_000
    queue_kb: int = 65_536


class _Request:
    """Events of one request on their way."""

    __slots__ = ("done", "error", "left")

    def __init__(self, events: int, done: "asyncio.Future[None]") -> None:
        self.left, self.done = events, done
        self.error: KafkaError | None = None


class Publisher:
    """Writes records with acks=all and says when all of a request's are written.

    Args:
        settings: how.
        fail: called once, from another thread, when the producer can never write again and the process has to be replaced.
    """

    def __init__(self, settings: Settings, fail: Callable[[], None]) -> None:
        self._settings, self._fail = settings, fail
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap,
                "client.id": "cdp-collector",
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": "lz4",
                "linger.ms": settings.linger_ms,
                "message.max.bytes": MESSAGE_BYTES,
                "message.timeout.ms": int(settings.delivery_s * 1000),
                "queue.buffering.max.messages": settings.queue_events,
                "queue.buffering.max.kbytes": settings.queue_kb,
                # Back to a broker that was away without delay: a request waits.
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 1000,
                "log_level": 3,
                "error_cb": self._on_error,
            }
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finished: list[_Request] = []
        self._halt = threading.Event()
        self._thread = threading.Thread(target=self._poll, name="kafka", daemon=True)
        self._waiting = 0
        self._is_away = False

    def start(self) -> None:
        """Begin to poll; to be called inside the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    @property
    def queued(self) -> int:
        """Events that Kafka has not acknowledged yet."""
        return len(self._producer)

    async def publish(self, topic: str, records: Sequence[Record]) -> None:
        """Write records; returns when Kafka has acknowledged each of them.

        Args:
            topic: where to.
            records: key and value of each.

        Raises:
            AwayError: at least one was not acknowledged in time. Also at once, while Kafka is known to be away and another request already
                waits to find out whether it is back.
        """
        if not records:
            return
        if self._is_away and self._waiting:
            raise AwayError("Kafka is away")
        if len(self._producer) + len(records) > self._settings.queue_events:
            raise AwayError("the queue is full")
        assert self._loop is not None
        request = _Request(len(records), self._loop.create_future())
        self._waiting += 1
        try:
            self._produce(topic, records, request)
            await request.done
        finally:
            self._waiting -= 1
        if request.error is not None:
            raise AwayError(request.error.name())

    def tell(self, topic: str, value: bytes, failed: Callable[[], None]) -> None:
        """Write a record nobody waits for; `failed` is called in the loop if it cannot be written."""

        def done(error: KafkaError | None, _message: Message) -> None:  # in the polling thread
            if error is not None and self._loop is not None:
                self._loop.call_soon_threadsafe(failed)

        try:
            self._producer.produce(topic, value, on_delivery=done)
        except (BufferError, KafkaException):
            failed()

    async def answers(self, topic: str) -> bool:
        """Whether Kafka tells about a topic within two seconds."""
        return await asyncio.to_thread(self._answers, topic)

    async def close(self) -> int:
        """Wait for what is under way and end; returns the number of events that were never acknowledged."""
        deadline = time.monotonic() + self._settings.delivery_s + FLUSH_MARGIN_S
        while self.queued and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        self._halt.set()
        await asyncio.to_thread(self._thread.join, POLL_S * 5)
        return self.queued

    def _produce(self, topic: str, records: Sequence[Record], request: _Request) -> None:
        produce = self._producer.produce

        def delivered(error: KafkaError | None, _message: Message) -> None:  # in the polling thread
            if error is not None:
                request.error = error
            request.left -= 1
            if not request.left:
                self._finished.append(request)

        for key, value in records:
            try:
                produce(topic, value, key, -1, delivered)
            except (BufferError, KafkaException) as error:
                # Those before it are under way; nobody waits for them, and a client that repeats them makes duplicates, which are known.
                request.left += len(records)
                raise AwayError(type(error).__name__ if isinstance(error, BufferError) else error.args[0].name()) from None

    def _poll(self) -> None:
        while not self._halt.is_set():
            self._producer.poll(POLL_S)
            if self._finished and self._loop is not None:
                finished, self._finished = self._finished, []
                self._loop.call_soon_threadsafe(self._wake, finished)

    def _wake(self, finished: list[_Request]) -> None:
        for request in finished:
            self._learn(request.error)
            if not request.done.done():
                request.done.set_result(None)

    def _learn(self, error: KafkaError | None) -> None:
        is_away = error is not None and error.code() in (KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT)
        if is_away != self._is_away:
            LOG.warning("Kafka does not acknowledge: requests get 503 until it does" if is_away else "Kafka acknowledges again")
        self._is_away = is_away

    def _answers(self, topic: str) -> bool:
        try:
            return self._producer.list_topics(topic, timeout=2.0).topics[topic].error is None
        except KafkaException:
            return False

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            LOG.error("the Kafka producer cannot go on: %s", error.name())
            self._fail()
