"""Contracts for readers: a page of Markdown, and JSON Schemas."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from schemas.contracts import MAX_AMOUNT, MAX_NAME, MAX_QUANTITY, Contract, Field, Type

_TITLE: Final = """# Events

Made from `schemas/events/*.yaml` by `cdp schema docs`: change it there. The envelope around the properties is in
[contracts.md](contracts.md). Events that are not listed here are applied too; nothing is checked of their properties then.
"""


def page(contracts: Mapping[str, Contract], title: str = _TITLE) -> str:
    """The contracts as a page of Markdown: `docs/events.md`.

    Args:
        contracts: what is described.
        title: what stands above.
    """
    return title + "\n".join(_lines(contracts)) + "\n"


def _lines(contracts: Mapping[str, Contract]) -> Iterator[str]:
    for owner in dict.fromkeys(contract.owner for contract in contracts.values()):
        yield ""
        yield f"## {owner.capitalize()}"
        for contract in contracts.values():
            if contract.owner != owner:
                continue
            yield ""
            yield f"### {contract.name}"
            yield f"{contract.says} Version {contract.version}."
            yield from _whole(contract)
            if contract.fields:
                yield ""
                yield from _table(contract.fields)
            for part, fields in contract.parts.items():
                yield ""
                yield f"Each `{part}`:"
                yield ""
                yield from _table(fields)


def _whole(contract: Contract) -> Iterator[str]:
    """What must hold of the event as a whole."""
    if contract.object:
        kinds = " or ".join(f"{kind} `{label}`" for kind, label in contract.object.items())
        yield f"Concerns the {kinds}{f', which is then `{contract.stage}`' if contract.stage else ''} (docs/objects.md)."
    if contract.once:
        yield f"Happens once for each {' and '.join(f'`{label}`' for label in contract.once)}, content and event time."
    sums = contract.adds_up
    if sums is not None:
        signed = [f" + `{label}`" for label in sums.plus] + [f" - `{label}`" for label in sums.minus]
        rule = "must be" if sums.checked else "is, where it is not told,"
        yield f"`{sums.total}` {rule} the sum of price x quantity over `{sums.lines}`{''.join(signed)}."


def _table(fields: Mapping[str, Field]) -> Iterator[str]:
    yield "| field | type | required | personal | meaning |"
    yield "|---|---|---|---|---|"
    for label, field in fields.items():
        kind = f"{field.type} of {field.items}" if field.items else field.type
        if field.values:
            kind += ": " + ", ".join(f"`{value}`" for value in field.values)
        bounds = "".join(f", {word} {value:g}" for word, value in (("at least", field.min), ("at most", field.max)) if value is not None)
        required, pii = "yes" if field.required else "", "" if field.pii == "none" else field.pii
        yield f"| `{label}` | {kind}{bounds} | {required} | {pii} | {field.says} |"


def json_schema(contract: Contract) -> dict[str, Any]:
    """A contract as JSON Schema (draft 2020-12), for the properties of the event."""

    def plain(field: Field) -> dict[str, Any]:
        found: dict[str, Any] = {"description": field.says} | _JSON_TYPES[field.type]
        if field.type == "list":
            found["items"] = of(contract.parts[field.items])
        if field.type == "map":
            found["additionalProperties"] = _JSON_TYPES[field.items]  # type: ignore[index]
        if field.values:
            found["enum"] = field.values
        low, high = {"list": ("minItems", "maxItems"), "map": ("minProperties", "maxProperties")}.get(field.type, ("minimum", "maximum"))
        found |= {word: bound for word, bound in ((low, field.min), (high, field.max)) if bound is not None}
        return found

    def of(fields: Mapping[str, Field]) -> dict[str, Any]:
        required = [label for label, field in fields.items() if field.required]
        return {"type": "object", "properties": {label: plain(field) for label, field in fields.items()}, "required": required}

    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": contract.name,
        "description": f"{contract.says} Version {contract.version}.",
    } | of(contract.fields)


_JSON_TYPES: Final[dict[Type, dict[str, Any]]] = {
    "key": {"type": "string", "minLength": 1, "maxLength": MAX_NAME},
    "name": {"type": "string", "maxLength": MAX_NAME},
    "text": {"type": "string"},
    "choice": {"type": "string"},
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "quantity": {"type": "integer", "minimum": 1, "maximum": MAX_QUANTITY},
    "money": {"type": "number", "minimum": 0, "maximum": MAX_AMOUNT},
    "currency": {"type": "string"},
    "country": {"type": "string", "pattern": "^[A-Z]{2}$"},
    "email": {"type": "string", "format": "email"},
    "phone": {"type": "string"},
    "url": {"type": "string", "format": "uri"},
    "timestamp": {"type": "string", "format": "date-time"},
    "list": {"type": "array"},
    "map": {"type": "object"},
}
