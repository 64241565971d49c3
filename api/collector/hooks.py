"""Webhooks at the collector: a genuine delivery is on the raw topic before it is answered, another one never."""

import datetime as dt
import logging
from collections.abc import Mapping
from pathlib import Path

from api.collector.intake import AWAY_RETRY_S, Refusal
from api.collector.publisher import AwayError, Publisher
from config.sources import Source
from importers import webhooks
from importers.signatures import SecretError
from importers.unmapped import TOPIC as UNMAPPED_TOPIC

LOG = logging.getLogger("collector")
NO_SECRET_RETRY_S = 60


class Hooks:
    """Takes deliveries.

    Args:
        sources: by name; those of kind `webhook` are opened.
        mappings: folder of the mapping files.
        publisher: writes to Kafka.

    Raises:
        MappingError: a mapping cannot be used for webhooks.
    """

    def __init__(self, sources: Mapping[str, Source], mappings: Path, publisher: Publisher) -> None:
        self._publisher = publisher
        self._open: dict[str, webhooks.WebhookSource | None] = {}
        for name, source in sources.items():
            if source.kind == "webhook":
                self._open[name] = _opened(name, source, mappings)

    async def take(self, name: str, headers: Mapping[str, str], body: bytes) -> str:
        """Take a delivery; returns what became of it once Kafka has acknowledged it: `applied`, `skipped`, `ping` or `unmapped`.

        Raises:
            Refusal: it is not genuine, not readable, or Kafka is away; nothing of it is kept.
        """
        if name not in self._open:
            raise Refusal(404, "unknown_source", "there is no webhook of this name")
        source = self._open[name]
        if source is None:
            raise Refusal(503, "no_secret", "this webhook has no secret yet", NO_SECRET_RETRY_S)
        found = webhooks.receive(source, headers, body, dt.datetime.now(dt.UTC))
        if isinstance(found, webhooks.Received):
            await self._publish(source.mapping.topic, [(message.key, message.value) for message in found.messages])
            if found.skipped == webhooks.PING:
                LOG.info("%s: a ping was answered", name)
                return "ping"
            return "skipped" if found.skipped else "applied"
        if not found.kept:
            raise Refusal(found.status, found.code, found.says)
        LOG.warning("%s: a delivery cannot be mapped and is kept in %s: %s", name, UNMAPPED_TOPIC, found.says)
        await self._publish(UNMAPPED_TOPIC, [(found.key, found.kept)])
        return "unmapped"

    async def _publish(self, topic: str, records: list[tuple[bytes | None, bytes]]) -> None:
        if not records:
            return
        try:
            await self._publisher.publish(topic, records)
        except AwayError as error:
            raise Refusal(503, "away", f"not acknowledged: {error}", AWAY_RETRY_S, len(records)) from None


def _opened(name: str, source: Source, mappings: Path) -> webhooks.WebhookSource | None:
    try:
        return webhooks.open_source(name, source, mappings)
    except SecretError as error:
        LOG.warning("webhook closed: %s", error)
        return None
