"""From a record of Debezium to messages: the pure half of `jobs/cdc.py`."""

import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec

from config.sources import UNAVAILABLE as PLACEHOLDER
from config.sources import Decimals, Source
from importers.cdc.changes import Aside, Change, TableChanges, Tombstone, parse
from importers.cdc.drift import ROWS, SchemaDrift, TableWatch
from importers.cdc.placeholder import Placeholder
from importers.envelope import Message, Origin, complete, completed
from importers.mapping import Event, Failed, Mapped, MappingError, MappingRules, Skipped, load
from importers.mapping.document import hint
from importers.mapping.outcome import UNREADABLE
from importers.mapping.reads import Path as FieldPath

UNAVAILABLE: Final = "unavailable"
"""A column that the mapping reads was not sent with the change."""
SCHEMA_DRIFT: Final = "schema_drift"
"""Code under which a drift is kept in `cdp.unmapped`, with the record that showed it; that record is mapped all the same."""
RECORD_FIELDS: Final = ("op", "before", "after", "row", "source", "key")
TOMBSTONE: Final = "tombstone"
_canonical = msgspec.json.Encoder(order="sorted").encode


class CdcSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source whose tables come through Debezium.

    Attributes:
        name: of the source.
        tenant: whose events they are.
        topic: raw topic they go to.
        tables: from Debezium's topic to the mapping's file.
        schema_changes: Debezium's schema-change topic; empty: not watched.
        decimals: the connector's `decimal.handling.mode`; empty: not said.
        unavailable: the connector's `unavailable.value.placeholder`.
    """

    name: str
    tenant: str
    topic: str
    tables: dict[str, str]
    schema_changes: str = ""
    decimals: Decimals = ""
    unavailable: str = PLACEHOLDER


def configured(name: str, source: Source) -> CdcSource:
    """A source of kind `cdc` as `config/sources.yaml` has it."""
    return CdcSource(
        name=name,
        tenant=source.tenant,
        topic=source.topic,
        tables=source.tables,
        schema_changes=source.schema_changes,
        decimals=source.decimals,
        unavailable=source.unavailable,
    )


class Handled(msgspec.Struct, frozen=True):
    """What a record became.

    Attributes:
        messages: events, ready to be sent.
        skipped: why it became none, in a word; empty otherwise.
        failed: why it cannot be mapped.
        drifts: what it shows of a changed table.
        table: its table; empty when that cannot be told.
        source_ms: when the source committed it, for the measure of freshness; None for snapshots.
    """

    messages: list[Message] = []
    skipped: str = ""
    failed: Failed | None = None
    drifts: list[SchemaDrift] = []
    table: str = ""
    source_ms: int | None = None


class Bridge:
    """Maps the records of one source.

    Args:
        source: which.
        mappings: by Debezium's topic.
        typed: the same for records that have their schema, whose decimals are numbers or text and nothing else.

    Attributes:
        source: as given.
        mappings: as given.
    """

    def __init__(self, source: CdcSource, mappings: dict[str, MappingRules], typed: dict[str, MappingRules]) -> None:
        self.source, self.mappings, self._typed = source, mappings, typed
        self._origin = Origin(source.name, source.tenant)
        self._placeholder = Placeholder(source.unavailable)
        self._reads = {topic: _columns(rules) for topic, rules in mappings.items()}
        self._paths = {topic: sorted(path for path in rules.reads() if len(path) > 1) for topic, rules in mappings.items()}
        tables = {topic: topic.split(".")[-1] for topic in mappings}
        self._watches = {topic: TableWatch(tables[topic], self._reads[topic], rules.columns) for topic, rules in mappings.items()}
        self._by_table = {table: self._watches[topic] for topic, table in tables.items()}

    def topics(self) -> list[str]:
        """Topics to read."""
        return [*self.mappings, *([self.source.schema_changes] if self.source.schema_changes else [])]

    def handle(self, topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None) -> Handled:
        """Map one record.

        Args:
            topic: one of `topics()`.
            partition: where it stands.
            offset: where it stands.
            key: its key.
            value: its value; None for a tombstone.
        """
        read = parse(key, value, self._placeholder)
        if isinstance(read, Tombstone):
            return Handled(skipped=TOMBSTONE)
        if isinstance(read, Aside):
            return Handled(skipped=read.reason)
        if isinstance(read, Failed):
            return Handled(failed=read)
        if isinstance(read, TableChanges):
            drifts = [
                drift
                for change in read.changes
                if change.table in self._by_table
                for drift in self._by_table[change.table].of_table(change)
            ]
            return Handled(skipped="schema change", drifts=drifts)
        rules = (self._typed if read.is_typed else self.mappings).get(topic)
        if rules is None:
            return Handled(failed=Failed(UNREADABLE, "", "a record of the schema-change topic"))
        lineage = {"topic": topic, "partition": partition, "offset": offset, "source_ts": read.source_ms}
        drifts = self._watches[topic].of_row(read)
        return self._map(read, rules, self._paths[topic], lineage, drifts)

    def _map(
        self, change: Change, rules: MappingRules, paths: list[FieldPath], lineage: dict[str, Any], drifts: list[SchemaDrift]
    ) -> Handled:
        def failed(why: Failed) -> Handled:
            return Handled(failed=why, drifts=drifts, table=change.table)

        lacking = next((path for path in paths if change.is_unknown(path)), None) if change.unknown else None
        if lacking is not None:
            rule = "the column's value: Postgres leaves out what an update did not touch, unless the table has REPLICA IDENTITY FULL"
            return failed(Failed(UNAVAILABLE, ".".join(lacking[:2]), rule))
        position = change.position()
        if position is None:
            return failed(Failed(UNREADABLE, "source", "a place in the source's log: `lsn`, or `file` and `pos`, or `change_lsn`"))
        outcome = rules.apply(change.record())
        if isinstance(outcome, Skipped):
            return Handled(skipped=outcome.reason, drifts=drifts, table=change.table)
        if not isinstance(outcome, Mapped):
            return failed(outcome)
        messages = completed(outcome.events, lambda event: self._message(event, change, position, lineage))
        if isinstance(messages, Failed):
            return failed(messages)
        return Handled(messages, drifts=drifts, table=change.table, source_ms=None if change.is_snapshot else change.source_ms)

    def _message(self, event: Event, change: Change, position: str, lineage: dict[str, Any]) -> Message:
        """A snapshot's event is known by what it says: read again and the same, it is a duplicate; read again and changed, it is news."""
        if change.is_snapshot:
            body = {name: value for name, value in event.envelope.items() if name != "context"}
            identifiers = (event.envelope.get("context") or {}).get("externalIds")
            position = f"{position}-{hashlib.blake2b(_canonical([body, identifiers]), digest_size=8).hexdigest()}"
        return complete(event, self._origin, position, lineage, change.order)


def load_bridge(source: CdcSource, folder: Path) -> Bridge:
    """Read the mappings of a source.

    Args:
        source: which.
        folder: of the mapping files.

    Raises:
        MappingError: a mapping cannot be used for tables.
    """
    mappings, typed = {}, {}
    for topic, name in source.tables.items():
        rules = load(folder / name, decimals=source.decimals)
        if rules.group_by is not None:
            raise MappingError(f"{name}: `group_by` is for files; a change of a row is one record")
        if rules.names_ids:
            raise MappingError(f"{name}: `message_id` is for files and webhooks; a change is known by its place in the source's log")
        outside = sorted({path[0] for path in rules.reads()} - set(RECORD_FIELDS))
        if outside:
            raise MappingError(f"{name}: reads `{outside[0]}`; a change has {', '.join(RECORD_FIELDS)}{hint(outside[0], RECORD_FIELDS)}")
        mappings[topic], typed[topic] = rules, load(folder / name, decimals="string")
    return Bridge(source, mappings, typed)


def _columns(rules: MappingRules) -> frozenset[str]:
    return frozenset(path[1] for path in rules.reads() if len(path) > 1 and path[0] in ROWS)
