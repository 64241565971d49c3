"""A valid example of every event of the contracts, made from the YAML alone: every field filled in."""

from pathlib import Path
from typing import Any, Final

import yaml

FOLDER: Final = Path(__file__).parents[1] / "schemas" / "events"
_PLAIN: Final[dict[str, Any]] = {
    "boolean": True, "number": 1, "integer": 1, "quantity": 2, "money": 1.5, "currency": "GBP", "country": "GB", "email": "a@example.org",
    "phone": "+44 20 7946 0958", "url": "https://example.org/x", "timestamp": "2011-03-13T07:06:40Z",
}  # fmt: skip


def examples(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Event name -> properties."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.glob("*.yaml")):
        file = yaml.safe_load(path.read_text())
        parts = file.get("parts") or {}
        for name, event in file["events"].items():
            fields = {label: field for part in event.get("with", ()) for label, field in parts[part].items()} | event.get("fields", {})
            found[name] = {label: _value(field, parts) for label, field in fields.items()}
    return found


def _value(field: dict[str, Any], parts: dict[str, Any]) -> Any:
    if field["type"] == "list":
        return [{label: _value(inner, parts) for label, inner in parts[field["items"]].items()}]
    if field["type"] == "map":
        return {"a": _PLAIN.get(field["items"], "x")}
    if "values" in field:
        return field["values"][0]
    return _PLAIN.get(field["type"], "x")
