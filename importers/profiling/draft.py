"""A draft of a mapping and of a tracking plan for a source that was looked at: a beginning that loads, for a person to change."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from importers.mapping import Mapped, MappingRules, Skipped, compile_mapping
from importers.mapping.options import DEFAULT, Options
from importers.profiling import names
from importers.profiling.fields import FieldSummary, reference
from importers.profiling.survey import Survey
from schemas.contracts import Contract
from schemas.contracts import Field as ContractField

_PLAN_TYPES: Final = {
    "integer": "integer",
    "text:integer": "integer",
    "number": "number",
    "text:number": "number",
    "text:number,": "number",
    "boolean": "boolean",
    "text:boolean": "boolean",
    "text:time": "timestamp",
    "text:email": "email",
    "text:phone": "phone",
    "text:url": "url",
    "text:money": "money",
    "list": "list",
    "object": "map",
}
_WHEN: Final = ("created", "opened", "submitted", "placed", "ordered", "occurred", "timestamp", "date", "time", "at")
"""Words of a field that tells when it happened, the likeliest first."""


class Draft(NamedTuple):
    """Two YAML texts, and how the mapping does on the first records: mapped, and failed by field."""

    mapping: str
    plan: str
    event: str
    mapped: int
    failed: dict[str, int]


def draft(survey: Survey, kept: list[dict[str, Any]], contracts: Mapping[str, Contract], options: Options = DEFAULT) -> Draft:
    """Write mapping and plan.

    Args:
        survey: what was found.
        kept: some records, to try the mapping on.
        contracts: events that the source's rows may be.
        options: how the file is read, for `input`.

    Returns:
        A mapping that loads, whatever the source is.
    """
    fields = {field.name: field for field in survey.fields if len(field.path) == 1}
    event, matched = _event(fields, survey, contracts)
    document = _mapping(survey, fields, event, matched, contracts.get(event), options)
    mapping = _header(survey, event, contracts) + yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=140)
    rules = compile_mapping(mapping, "draft.yaml", contracts=contracts)
    mapped, failed = _try(rules, kept)
    plan = _plan(survey, fields, event, matched, contracts.get(event))
    return Draft(mapping, plan, event, mapped, failed)


def expression(field: FieldSummary, wanted: str = "") -> str:
    """How a field is read, given what it holds and the type a contract wants (empty: none)."""
    name, kind = reference(field.path[0]), field.kind
    if wanted in ("key", "name", "text", "choice", "currency", "country"):
        return f"text({name})" if kind in ("integer", "number", "boolean", "mixed") else name
    if kind == "text:integer" and names.is_key(field.path[0]):
        return name  # numbers that nobody adds up: 007 stays 007
    if kind == "text:integer":
        return f"parse_integer({name})"
    if kind in ("text:number", "text:number,"):
        return f"parse_number({name}" + (", ',')" if kind.endswith(",") else ")")
    if kind == "text:money":
        return f"parse_money({name})"
    if kind == "text:boolean":
        return f"parse_boolean({name})"
    if kind == "text:time" and field.time_forms:
        return _time(field)
    return name


def _time(field: FieldSummary) -> str:
    """UTC is a guess that the header of the draft points at; a time with an offset needs none."""
    return f"parse_time({reference(field.path[0])}, '{field.time_forms[0]}', 'UTC')"


def _event(fields: dict[str, FieldSummary], survey: Survey, contracts: Mapping[str, Contract]) -> tuple[str, dict[str, str]]:
    """The event whose contract fits best: all it requires is there under names that say so. Else one of the source's own name."""
    normal = {names.normal(field.path[0]): name for name, field in fields.items()}
    best, best_matched = "", dict[str, str]()
    for contract in contracts.values():
        matched = {
            label: normal[label] for label, field in contract.fields.items() if label in normal and _fits(field, fields[normal[label]])
        }
        required = [label for label, field in contract.fields.items() if field.required]
        if len(required) == 1 and contract.fields[required[0]].type == "key" and "id" in normal and len(matched) > 1:
            matched.setdefault(required[0], normal["id"])  # a plain `id` is the thing's own, when the rest speaks of that thing
        if required and all(label in matched for label in required) and len(matched) > max(1, len(best_matched)):
            best, best_matched = contract.name, matched
    if best:
        return best, best_matched
    stem = Path(survey.source).name.partition(".")[0] if "/" in survey.source or "." in survey.source else survey.source
    return f"{' '.join(word.capitalize() for word in names.words(stem)) or 'Row'} Imported", {}


def _fits(wanted: ContractField, field: FieldSummary) -> bool:
    """Whether a field can hold what a contract wants, as far as kinds go."""
    numeric = field.kind in ("integer", "number", "text:integer", "text:number", "text:number,", "text:money")
    if wanted.type in ("number", "integer", "quantity", "money"):
        return numeric
    if wanted.type in ("list", "map"):
        return False
    if wanted.type == "timestamp":
        return field.kind == "text:time"
    return field.kind not in ("object", "list")


def _mapping(
    survey: Survey, fields: dict[str, FieldSummary], event: str, matched: dict[str, str], contract: Contract | None, options: Options
) -> dict[str, Any]:
    document: dict[str, Any] = {"says": f"draft for {Path(survey.source).name}"}
    written = _input(options)
    if written:
        document["input"] = written
    entry: dict[str, Any] = {"track": event}
    unique = [key.field for key in survey.keys if _tells_rows_apart(fields.get(key.field))]
    if unique:
        entry["message_id"] = reference(fields[unique[0]].path[0])
    identifiers: dict[str, str] = {}
    for name, namespace in survey.identifiers.items():
        if name in fields and namespace not in identifiers:
            identifiers[namespace] = reference(fields[name].path[0])
    entry["identifiers"] = identifiers or {"anonymous_id": "digest(@)"}
    happened = _happened(survey, fields)
    if happened:
        entry["timestamp"] = _time(fields[happened])
    properties = {label: expression(fields[name], contract.fields[label].type) for label, name in matched.items()} if contract else {}
    used = {*matched.values(), happened, *(name for name in survey.identifiers if name in fields)}
    for name, field in fields.items():
        if name not in used and field.filled > 0:
            properties[_label(field.path[0], properties)] = expression(field)
    if properties:
        entry["properties"] = properties
    document["events"] = [entry]
    return document


def _label(name: str, taken: Mapping[str, Any]) -> str:
    """A property's name for a field: its words, or itself where it has none that we know; no two fields share one."""
    label = "_".join(names.words(name)) or "_".join(name.replace("$", " ").replace(".", " ").split()) or "field"
    number = 1
    found = label
    while found in taken:
        number += 1
        found = f"{label}_{number}"
    return found


def _tells_rows_apart(field: FieldSummary | None) -> bool:
    return field is not None and field.is_unique and field.filled == 1 and names.is_key(field.path[0])


def _happened(survey: Survey, fields: dict[str, FieldSummary]) -> str:
    def rank(name: str) -> tuple[int, float]:
        found = names.words(fields[name].path[0])
        return next((number for number, word in enumerate(_WHEN) if word in found), len(_WHEN)), -fields[name].filled

    candidates = [name for name in survey.times if name in fields and fields[name].filled > 0.5]
    return min(candidates, key=rank, default="")


def _input(options: Options) -> dict[str, Any]:
    plain = {name: getattr(options, name) for name in Options.__struct_fields__}
    return {name: value for name, value in plain.items() if value != getattr(DEFAULT, name)}


def _header(survey: Survey, event: str, contracts: Mapping[str, Contract]) -> str:
    lines = [f"Draft made from {survey.rows:,} rows of {Path(survey.source).name}; try it: cdp import FILE --mapping THIS --dry-run"]
    if event not in contracts:
        lines.append(f"No event with a contract fits; `{event}` is a name of its own, its properties are not checked (`cdp schema list`).")
    if not survey.identifiers:
        lines.append("Nobody is named in the rows: each is somebody of its own until `identifiers` says more.")
    if survey.times:
        lines.append("Times without an offset are read as UTC: which clock was it?")
    lines += survey.advice
    return "".join(f"# {''.join(one if one.isprintable() else ' ' for one in line)}\n" for line in lines)


def _try(rules: MappingRules, kept: list[dict[str, Any]]) -> tuple[int, dict[str, int]]:
    mapped, failed = 0, dict[str, int]()
    for record in kept:
        outcome = rules.apply(record)
        if isinstance(outcome, Mapped | Skipped):
            mapped += 1
        else:
            failed[outcome.field] = failed.get(outcome.field, 0) + 1
    return mapped, failed


def _choice(field: ContractField) -> dict[str, Any]:
    return {"values": field.values} if field.values else {"items": field.items} if field.items else {}


def _plan(survey: Survey, fields: dict[str, FieldSummary], event: str, matched: dict[str, str], contract: Contract | None) -> str:
    properties: dict[str, dict[str, Any]] = {}
    elsewhere = {*matched.values(), *survey.identifiers, _happened(survey, fields)}
    for label, name in matched.items():
        assert contract is not None
        known = contract.fields[label]
        if known.type != "list":  # lists are the contract's business
            needed = known.required or fields[name].filled == 1
            properties[label] = {"type": known.type, "required": needed, "says": known.says} | _choice(known)
    for name, field in fields.items():
        if name in elsewhere or field.filled == 0:
            continue
        kind = _PLAN_TYPES.get(field.kind, "text")
        properties[_label(field.path[0], properties)] = {
            "type": kind,
            "required": field.filled == 1,
            "says": f"field `{field.path[0]}` of the source",
        }
    plan = {"says": f"draft for {Path(survey.source).name}", "events": {event: {"properties": properties}}}
    return yaml.safe_dump(plan, sort_keys=False, allow_unicode=True, width=140)
