"""Kept records (`cdp.unmapped`) through the mappings as they are now, by the code that maps them when they come.

A webhook delivery is kept only after its signature was found genuine, so no secret is needed here.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from config.sources import Source
from importers.cdc.bridge import SCHEMA_DRIFT, Bridge, configured, load_bridge
from importers.envelope import Message
from importers.mapping import Failed, MappingRules, Skipped
from importers.mapping.document import hint
from importers.mapping.outcome import GROUP, INTERNAL, MISSING, NO_EVENT, TOO_LARGE, UNREADABLE, VALUE
from importers.unmapped import Kept
from importers.webhooks import Received, WebhookMapping, open_mapping

NO_SOURCE: Final = "no_source"
"""The configuration does not say (any more) how such a record is mapped."""
CODES: Final = (UNREADABLE, VALUE, MISSING, NO_EVENT, GROUP, TOO_LARGE, INTERNAL, "unavailable", SCHEMA_DRIFT)
"""Codes under which records are kept."""
_SOURCES: Final = "config/sources.yaml"


class Ready(msgspec.Struct, frozen=True):
    """What a record becomes by now.

    Attributes:
        topic: raw topic its messages go to.
        messages: at least one; the same, with the same ids, whenever it is mapped by this mapping.
        label: which mapping made them: `orders@<8 hex digits of what it depends on>`.
    """

    topic: str
    messages: list[Message]
    label: str


class Mended:
    """The mappings of all sources, each read when it is first needed.

    Args:
        sources: by name.
        folder: of the mapping files.
    """

    def __init__(self, sources: Mapping[str, Source], folder: Path) -> None:
        self._sources, self._folder = sources, folder
        self._bridges: dict[str, Bridge] = {}
        self._hooks: dict[str, WebhookMapping] = {}

    def become(self, kept: Kept) -> Ready | Skipped | Failed:
        """Map a record.

        Raises:
            MappingError: a mapping cannot be used.
        """
        source = self._sources.get(kept.source)
        if source is None:
            known = hint(kept.source, self._sources)
            return Failed(NO_SOURCE, "source", f"a source of {_SOURCES}; `{kept.source}` is none{known}")
        if source.kind == "cdc" and "topic" in kept.position:
            return self._change(kept, source)
        if source.kind == "webhook" and "headers" in kept.position:
            return self._delivery(kept, source)
        return Failed(NO_SOURCE, "source", f"a source that such records come from; by {_SOURCES} `{kept.source}` is of kind {source.kind}")

    def _change(self, kept: Kept, source: Source) -> Ready | Skipped | Failed:
        bridge = self._bridges.get(kept.source)
        if bridge is None:
            bridge = self._bridges[kept.source] = load_bridge(configured(kept.source, source), self._folder)
        topic, partition, offset = (kept.position.get(name) for name in ("topic", "partition", "offset"))
        rules = bridge.mappings.get(str(topic))
        if rules is None:
            known = hint(str(topic), source.tables)
            return Failed(NO_SOURCE, "source", f"a table of source `{kept.source}` in {_SOURCES}; {topic} is none{known}")
        found = bridge.handle(str(topic), int(partition or 0), int(offset or 0), kept.key, kept.original)
        if found.failed is not None:
            return found.failed
        return Ready(source.topic, found.messages, _label(source.tables[str(topic)], rules)) if found.messages else Skipped(found.skipped)

    def _delivery(self, kept: Kept, source: Source) -> Ready | Skipped | Failed:
        mapping = self._hooks.get(kept.source)
        if mapping is None:
            mapping = self._hooks[kept.source] = open_mapping(kept.source, source, self._folder)
        headers: dict[str, Any] = kept.position["headers"] or {}
        for name in sorted(mapping.headers_read - headers.keys()):  # taken for one that was not there, it would make another event
            return Failed(MISSING, f"headers.{name}", "a header that was kept: the mapping did not read it when the delivery came")
        found = mapping.become({name: value for name, value in headers.items() if value is not None}, kept.original or b"")
        if not isinstance(found, Received):
            return found
        return Ready(mapping.topic, found.messages, _label(source.mapping, mapping.rules)) if found.messages else Skipped(found.skipped)


def _label(file: str, rules: MappingRules) -> str:
    return f"{Path(file).stem}@{rules.fingerprint[:8]}"
