"""Writes to the control topics: cut points, pokes that make nodes and profiles look at themselves again, what is stated of identifiers."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from config.definitions import CutPoints
from pipelines.history import cut_points
from pipelines.identity import link_log
from pipelines.identity.link_log import LogRecord
from schemas import clean

DEFINITIONS: Final = "cdp.definitions"
POKES: Final = "cdp.pokes"
LINKS: Final = "cdp.links"
FLUSH_WITHIN_S: Final = 30
AT_ONCE: Final = 500
"""Records of the link log that are handed over before one waits for Kafka: so many at most are on their way when somebody stops it."""


class ControlError(RuntimeError):
    """Kafka has not taken what was to be published; the message says why and what to do."""


class Publisher:
    """Writes to the control topics and makes sure that it arrived.

    Args:
        bootstrap: Kafka's address.
    """

    def __init__(self, bootstrap: str) -> None:
        self._failed: KafkaError | None = None
        self._reached: int | None = None
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 20,
                "log_level": 2,
                # As Kafka's own clients choose: what a tenant's link log says must lie in one partition, whoever wrote it.
                "partitioner": "murmur2_random",
            }
        )

    def publish(self, tenant: str, cuts: CutPoints) -> None:
        """Publish cut points."""
        key, value = cut_points.definition(tenant, cuts)
        self._send(DEFINITIONS, key, value)
        self.flush()

    def poke_profiles(self, tenant: str, profile_ids: Iterable[str], reason: str) -> None:
        """Make profiles look at themselves again."""
        for profile_id in profile_ids:
            self._send(POKES, profile_id, _poke(tenant, {"profile_id": profile_id}, reason))
        self.flush()

    def poke_nodes(self, tenant: str, nodes: Iterable[str], reason: str) -> None:
        """Make nodes tell their profiles all they know, by the definitions of now, and these look at themselves again."""
        for node in nodes:
            self._send(POKES, node, _poke(tenant, {"node": node}, reason))
        self.flush()

    def state(self, said: LogRecord) -> int:
        """Add to the link log what somebody states of identifiers.

        Returns:
            The record's place in the log: its epoch.
        """
        self._send(LINKS, said.tenant, clean.encode("link", link_log.written(said)))
        self.flush()
        assert self._reached is not None
        return self._reached + 1

    def state_all(self, said: Sequence[LogRecord], tell: Callable[[int, int], None] = lambda *_: None) -> int:
        """Add records of one tenant to the link log, in their order.

        When it is stopped (Ctrl-C), what was handed over by then is in the log, and nothing of what comes after it.

        Args:
            said: the records, at least one.
            tell: called now and then with the number of records written and how many there are.

        Returns:
            Place of the last one in the log: its epoch.

        Raises:
            ControlError: Kafka has not taken them all.
        """
        try:
            for first in range(0, len(said), AT_ONCE):
                for record in said[first : first + AT_ONCE]:
                    self._send(LINKS, record.tenant, clean.encode("link", link_log.written(record)))
                self.flush()
                tell(min(first + AT_ONCE, len(said)), len(said))
        except KeyboardInterrupt:
            self.flush()
            raise
        assert self._reached is not None
        return self._reached + 1

    def flush(self) -> None:
        """Wait until Kafka has everything.

        Raises:
            ControlError: it has not.
        """
        left = self._producer.flush(FLUSH_WITHIN_S)
        if self._failed or left:
            why = self._failed.str() if self._failed else "Kafka does not answer"
            raise ControlError(f"records were not accepted ({why}); run the command again, repeating it is harmless")

    def _send(self, topic: str, key: str, value: bytes) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, on_delivery=self._delivered)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        self._failed = self._failed or error
        self._reached = message.offset()


def _poke(tenant: str, whom: dict[str, Any], reason: str) -> bytes:
    return msgspec.json.encode({"tenant": tenant, **whom, "reason": reason})
