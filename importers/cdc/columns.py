"""Columns of a row as their record's own schema says they are: decimals as numbers, and what was not sent is set apart."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from importers.cdc.placeholder import Placeholder
from importers.mapping.decimals import as_json, of_base64
from importers.mapping.unfit import Unfit

Row = dict[str, Any]
_DECIMAL: Final = "org.apache.kafka.connect.data.Decimal"
_ANY_SCALE: Final = "io.debezium.data.VariableScaleDecimal"


def sent(row: Row | None, placeholder: Placeholder, old: Row | None = None) -> tuple[Row | None, frozenset[str]]:
    """A row without what was not sent, and the names of what is missing.

    Args:
        row: as Debezium wrote it.
        placeholder: of its connector.
        old: the row before: it may know what was not sent because it did not change. A null in it says nothing, for Postgres leaves out all
            but the key there as well, and what is kept apart from its row is never null.
    """
    if row is None:
        return None, frozenset()
    lacking = {name for name, value in row.items() if placeholder.stands_in(value)}
    if not lacking:
        return row, frozenset()
    known = {name: old[name] for name in lacking if old is not None and old.get(name) is not None}
    left = {name: known.get(name, value) for name, value in row.items() if name in known or name not in lacking}
    return left, frozenset(lacking - known.keys())


def as_typed(row: Row | None, schema: Any) -> Row | None:
    """A row in which decimals are numbers (text where no number holds their digits), as far as the schema tells of them.

    Args:
        row: as Debezium wrote it.
        schema: of the row, as Kafka Connect writes it; None when the record has none.
    """
    if row is None or not isinstance(schema, dict):
        return row
    return {name: _typed(value, kind) for (name, value), kind in zip(row.items(), _kinds(row, schema), strict=True)}


def _kinds(row: Row, schema: dict[str, Any]) -> list[Any]:
    fields = {field.get("field"): field for field in schema.get("fields") or [] if isinstance(field, dict)}
    return [fields.get(name) for name in row]


def _typed(value: Any, schema: Any) -> Any:
    if value is None or not isinstance(schema, dict):
        return value
    if isinstance(value, str) and schema.get("name") == _DECIMAL:
        scale = (schema.get("parameters") or {}).get("scale")
        return (
            {"value": value} if scale is None else _number(value, lambda: of_base64(value, int(scale)))
        )  # bytes, whoever knows their scale
    if isinstance(value, dict):
        if schema.get("name") == _ANY_SCALE:
            return _number(value, lambda: of_base64(value["value"], int(value["scale"])))
        if schema.get("type") == "map":
            return {name: _typed(inner, schema.get("values")) for name, inner in value.items()}
        return as_typed(value, schema)
    if isinstance(value, list) and schema.get("type") == "array":
        return [_typed(one, schema.get("items")) for one in value]
    return value


def _number(value: Any, read: Callable[[], Decimal]) -> Any:
    """What is read, or the value as it is where it is not what the schema says: the mapping then says what it expected."""
    try:
        return as_json(read())
    except (Unfit, KeyError, TypeError, ValueError):
        return value
