"""A bridge of one table, and what becomes of a record that it reads."""

from pathlib import Path
from typing import Any

from importers.cdc.bridge import Bridge, CdcSource, Handled, load_bridge
from tests.unit.importers import debezium as db

MAPPING = """
events:
  - call: identify
    identifiers: {user_id: after.id}
    traits: {notes: after.notes, old: before.notes, row: row.tags, key: key.id}
  - call: group
    groupId: "'all'"
    identifiers: {user_id: after.id}
    traits: {$copy: after}
"""


def bridge_of(tmp_path: Path, mapping: str = MAPPING, **more: Any) -> Bridge:
    """Reads topic `a.b.c` of source `s`."""
    (tmp_path / "m.yaml").write_text(mapping)
    return load_bridge(CdcSource(name="s", tenant="demo", topic="cdp.raw.orders", tables={"a.b.c": "m.yaml"}, **more), tmp_path)


def handled(bridge: Bridge, op: str, before: Any, after: Any, key: Any = None, lsn: int = 5, **more: Any) -> Handled:
    value = db.value(op, before, after, db.postgres_source("c", lsn), **more)
    return bridge.handle("a.b.c", 0, 0, db.key(key or {"id": "1"}), value)
