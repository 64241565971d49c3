"""Records as Debezium 3 writes them with the JSON converter, for Postgres and MySQL, with or without their schemas.

Shapes and field names follow the connectors' documentation; the rows are invented.
"""

import base64
from typing import Any

import orjson

TS_MS = 1_793_600_000_000  # 2026-11-02
Row = dict[str, Any]


def decimal(minor_units: int) -> str:
    """`decimal.handling.mode=precise`: the unscaled value, big-endian, in base64."""
    return base64.b64encode(minor_units.to_bytes((minor_units.bit_length() + 8) // 8, "big", signed=True)).decode()


def postgres_source(table: str, lsn: int, ts_ms: int = TS_MS, snapshot: str = "false") -> Row:
    return {
        "version": "3.3.1.Final", "connector": "postgresql", "name": "erp", "ts_ms": ts_ms, "snapshot": snapshot, "db": "erp",
        "sequence": f'["{lsn - 56}","{lsn}"]', "ts_us": ts_ms * 1000, "ts_ns": ts_ms * 1_000_000, "schema": "public", "table": table,
        "txId": lsn % 1000, "lsn": lsn, "xmin": None,
    }  # fmt: skip


def mysql_source(table: str, pos: int, row: int = 0, ts_ms: int = TS_MS, snapshot: str = "false", file: str = "binlog.000007") -> Row:
    return {
        "version": "3.3.1.Final", "connector": "mysql", "name": "desk", "ts_ms": ts_ms, "snapshot": snapshot, "db": "desk",
        "sequence": None, "ts_us": ts_ms * 1000, "ts_ns": ts_ms * 1_000_000, "table": table,
        "server_id": 223344, "gtid": None, "file": file, "pos": pos,
        "row": row, "thread": 12, "query": None,
    }  # fmt: skip


def envelope(op: str, before: Row | None, after: Row | None, source: Row) -> Row:
    ts_ms = source["ts_ms"] + 250
    times = {"ts_ms": ts_ms, "ts_us": ts_ms * 1000, "ts_ns": ts_ms * 1_000_000}
    return {"before": before, "after": after, "source": source, "transaction": None, "op": op, **times}


def value(op: str, before: Row | None, after: Row | None, source: Row, types: dict[str, str] | None = None) -> bytes:
    """The value of a record; with `types` (column to Kafka Connect type) the converter's schema goes along."""
    body = envelope(op, before, after, source)
    if types is None:
        return orjson.dumps(body)
    fields = [
        {"type": _plain(kind), "optional": True, "field": name, **({"name": kind} if "." in kind else {})} for name, kind in types.items()
    ]
    row = {"type": "struct", "fields": fields, "optional": True, "name": "erp.public.x.Value"}
    schema = {
        "type": "struct", "optional": False, "name": "erp.public.x.Envelope", "version": 2,
        "fields": [{**row, "field": "before"}, {**row, "field": "after"}, {"type": "string", "optional": False, "field": "op"}],
    }  # fmt: skip
    return orjson.dumps({"schema": schema, "payload": body})


def key(row: Row, with_schema: bool = False) -> bytes:
    if not with_schema:
        return orjson.dumps(row)
    fields = [{"type": "string", "optional": False, "field": name} for name in row]
    return orjson.dumps({"schema": {"type": "struct", "fields": fields, "optional": False, "name": "erp.public.x.Key"}, "payload": row})


def schema_change(table: str, columns: dict[str, str], ddl: str, kind: str = "ALTER") -> bytes:
    """A record of MySQL's schema-change topic."""
    described = [
        {"name": name, "jdbcType": 12, "typeName": of, "position": number, "optional": True, "autoIncremented": False, "generated": False}
        for number, (name, of) in enumerate(columns.items(), 1)
    ]
    changes = [
        {
            "type": kind,
            "id": f'"desk"."{table}"',
            "table": {"defaultCharsetName": "utf8mb4", "primaryKeyColumnNames": ["id"], "columns": described, "attributes": []},
        }
    ]
    source = mysql_source(table, 4711)
    return orjson.dumps({"source": source, "ts_ms": TS_MS, "databaseName": "desk", "schemaName": None, "ddl": ddl, "tableChanges": changes})


def order(number: int, status: str = "paid", qty: int = 2, **more: Any) -> Row:
    """A row of the ERP's table `orders`."""
    lines = orjson.dumps([{"sku": "85123A", "qty": qty, "price": 2.5}]).decode()
    return {
        "order_id": number, "customer_no": "17850", "status": status, "total": decimal(qty * 250), "currency": "GBP", "coupon": None,
        "lines": lines, "placed_at": "2026-11-02T08:00:00.000000Z", "changed_at": "2026-11-02T08:00:01.000000Z", **more,
    }  # fmt: skip


def ticket(number: int, state: str = "open", **more: Any) -> Row:
    """A row of the help desk's table `tickets`."""
    return {
        "id": number, "customer_no": "17850", "email": "Ada.Example@example.org", "category": "delivery", "channel": "phone", 
        "prio": 2, "order_no": "7", "state": state, "csat": None, "opened_at": TS_MS,
        "closed_at": TS_MS + 60_000 if state == "closed" else None, **more,
    }  # fmt: skip


def _plain(kind: str) -> str:
    return {"io.debezium.time.Date": "int32", "io.debezium.time.Timestamp": "int64", "org.apache.kafka.connect.data.Decimal": "bytes"}.get(
        kind, "string" if "." in kind else kind
    )
