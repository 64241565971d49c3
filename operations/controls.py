"""Writes to the control topics: cut points, and pokes that make nodes and profiles look at themselves again."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, Message, Producer

from config.definitions import CutPoints
from pipelines.history import cut_points

DEFINITIONS: Final = "cdp.definitions"
POKES: Final = "cdp.pokes"
FLUSH_WITHIN_S: Final = 30


class ControlError(RuntimeError):
    """Kafka has not taken what was to be published; the message says why and what to do."""


class Publisher:
    """Writes to the control topics and makes sure that it arrived.

    Args:
        bootstrap: Kafka's address.
    """

    def __init__(self, bootstrap: str) -> None:
        self._failed: KafkaError | None = None
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 20, "log_level": 2}
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

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        self._failed = self._failed or error


def _poke(tenant: str, whom: dict[str, Any], reason: str) -> bytes:
    return msgspec.json.encode({"tenant": tenant, **whom, "reason": reason})
