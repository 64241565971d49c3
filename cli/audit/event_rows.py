"""Check 6: no row of a typed view lacks a field that its event's contract requires."""

from collections.abc import Mapping

from cli.audit.report import Check
from pipelines.history.event_views import property_column, view_name
from schemas.contracts import Contract
from sinks.clickhouse import ClickHouse


def event_rows(server: ClickHouse, contracts: Mapping[str, Contract]) -> Check:
    """Every row of a typed view has what its contract requires."""
    expected, complete, differences = 0, 0, []
    for contract in contracts.values():
        # An empty list may be meant: of lists and maps only those that must have entries can be seen to lack.
        fields = contract.fields.items()
        required = [label for label, field in fields if field.required and (field.type not in ("list", "map") or field.min)]
        lacks = {label: _lacks(property_column(label), contract.fields[label].type) for label in required}
        counts = ", ".join([f"countIf({condition}) AS `lacks {label}`" for label, condition in lacks.items()])
        anything = " OR ".join(f"({condition})" for condition in lacks.values()) or "false"
        query = f"SELECT count() AS rows, countIf({anything}) AS lacking{', ' if counts else ''}{counts} FROM {view_name(contract.name)}"
        (row,) = server.rows(query)
        expected += int(row["rows"])
        complete += int(row["rows"]) - int(row["lacking"])
        named = [label for label in required if int(row[f"lacks {label}"])]
        if named:
            differences.append(f"{view_name(contract.name)}: {row['lacking']} rows without {', '.join(named)}")
    return Check("event_* rows", expected, complete, differences, "with every field that their contracts require")


def _lacks(column: str, kind: str) -> str:
    return f"empty(`{column}`)" if kind in ("list", "map") else f"isNull(`{column}`)"
