"""A whole mapping: skip rules, events, grouping of rows; compiled from YAML once, then a pure function from record to outcome."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec

from config import loader
from config.sources import Decimals
from importers.mapping import outcome, tables, texts
from importers.mapping.document import MappingError, Node, parse
from importers.mapping.events import EventRule, compile_event
from importers.mapping.expressions import Expression, Language
from importers.mapping.options import DEFAULT, Groups, Options, compile_options
from importers.mapping.outcome import Event, Failed, Mapped, Outcome, Skipped
from importers.mapping.reads import ENTRY
from importers.mapping.reads import Path as FieldPath
from importers.mapping.unfit import Unfit
from schemas import contracts as event_contracts
from schemas.contracts import Contract

KEYS: Final = ("says", "input", "group_by", "groups", "columns", "tables", "skip", "events")
COLUMN_TYPES: Final = ("text", "integer", "number", "boolean", "object", "list")
GROUP_FIELDS: Final = ("key", "rows")
"""What the record of a group has."""
ROW: Final = ("rows", ENTRY)
_INT64: Final = 2**63


class SkipRule:
    """Records for which `when` holds yield no event, counted under `reason`."""

    def __init__(self, number: int, when: Expression, reason: str) -> None:
        self.number, self.when, self.reason = number, when, reason


class MappingRules:
    """A compiled mapping.

    Attributes:
        name: of its file.
        fingerprint: SHA-256 of everything its outcomes depend on, lookup tables included.
        options: how its files are read.
        group_by: which value the rows of one record share; None: each row is a record.
        groups: whether the rows of a group follow each other.
        columns: columns of a table and their types, as the mapping expects them; empty: not said.
        notes: what may be a mistake, for people.
    """

    def __init__(
        self,
        name: str,
        skips: Sequence[SkipRule],
        events: Sequence[EventRule],
        *,
        options: Options = DEFAULT,
        group_by: Expression | None = None,
        groups: Groups = "adjacent",
        columns: Mapping[str, str] | None = None,
        notes: Iterable[str] = (),
        fingerprint: str = "",
    ) -> None:
        self.fingerprint = fingerprint
        self.name, self.options, self.group_by, self.groups = name, options, group_by, groups
        self.columns: Mapping[str, str] = columns or {}
        self.notes = list(notes)
        self._skips, self._events = skips, events

    def apply(self, record: Any) -> Outcome:
        """Map one record.

        Args:
            record: an object of what JSON can hold; it is not changed. Of a mapping with `group_by`: `{key, rows}`.

        Returns:
            Events, a skip, or a failure; never raises.
        """
        try:
            for skip in self._skips:
                try:
                    if skip.when.holds(record):
                        return Skipped(skip.reason)
                except Unfit as unfit:
                    raise unfit.at(f"skip[{skip.number}].when") from None
            return self._mapped(record)
        except Unfit as unfit:
            return Failed(unfit.code, unfit.path, unfit.rule, unfit.value)
        except RecursionError:
            return Failed(outcome.VALUE, "", "a record that is nested less deeply")
        except Exception as error:  # a fault of ours must cost one record, never the run
            return Failed(outcome.INTERNAL, "", f"{type(error).__name__}: {error}")

    def reads(self) -> frozenset[FieldPath]:
        """Paths of the record that events and skip rules look at."""
        return frozenset().union(*(rule.reads() for rule in self._events), *(skip.when.reads() for skip in self._skips))

    @property
    def names_ids(self) -> bool:
        """Whether an event names a business key."""
        return any(event.names_id for event in self._events)

    def columns_read(self) -> set[str]:
        """Columns of a file that the mapping looks at: of its rows, if it groups them."""
        if self.group_by is None:
            return {path[0] for path in self.reads()}
        inside = {path[2] for path in self.reads() if path[:2] == ROW and len(path) > 2}
        return inside | {path[0] for path in self.group_by.reads()}

    def _mapped(self, record: Any) -> Outcome:
        made: list[Event] = []
        seen: dict[str, int] = {}
        for number, rule in enumerate(self._events):
            where = f"events[{number}]"
            try:
                events = rule.make(record, len(made))
                for event in events:
                    _check_json(event.envelope)
            except Unfit as unfit:
                raise unfit.at(where) from None
            for event in events:
                if event.key and event.key in seen:
                    rule_broken = f"another message_id than that of the event before, of events[{seen[event.key]}]: both become one id"
                    return Failed(outcome.VALUE, f"{where}.message_id", rule_broken, event.key)
                seen[event.key] = number
            made += events
        if not made:
            return Failed(outcome.NO_EVENT, "events", "a record for which the `when` of an event or of a skip rule holds")
        return Mapped(made)


def load(path: Path, namespaces: Sequence[str] | None = None, decimals: Decimals = "") -> MappingRules:
    """Read a mapping file; see `compile_mapping`.

    Raises:
        MappingError: it cannot be read or used.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from error
    return compile_mapping(text, path.name, path.parent, namespaces, decimals=decimals)


def compile_mapping(
    text: str,
    where: str,
    folder: Path = Path(),
    namespaces: Sequence[str] | None = None,
    contracts: Mapping[str, Contract] | None = None,
    decimals: Decimals = "",
) -> MappingRules:
    """Compile a mapping.

    Args:
        text: YAML, see docs/importing.md.
        where: name for error messages.
        folder: where files of lookup tables are looked for.
        namespaces: names of identifiers; by default those of config/identity.yaml.
        contracts: of events; by default those of schemas/events.
        decimals: form of Debezium's decimals in its records; empty: not said.

    Raises:
        MappingError: it cannot be used; the message names line, field and remedy.
    """
    document = parse(text, where)
    fields = document.fields(KEYS, required=("events",))
    lookups = tables.load(fields["tables"], folder) if "tables" in fields else {}
    language = Language(lookups, decimals)
    namespaces = [one.name for one in loader.identity().namespaces] if namespaces is None else list(namespaces)
    contracts = _contracts() if contracts is None else contracts
    notes: list[str] = []
    entries = fields["events"].entries()
    if not entries:
        raise fields["events"].error("at least one event is needed")
    skips = fields["skip"].entries() if "skip" in fields else []
    made = MappingRules(
        where,
        [_skip(number, node, language) for number, node in enumerate(skips)],
        [compile_event(node, language, namespaces, contracts, notes) for node in entries],
        options=compile_options(fields["input"]) if "input" in fields else DEFAULT,
        group_by=language.compile(fields["group_by"]) if "group_by" in fields else None,
        groups=_groups(fields),
        columns=_columns(fields["columns"]) if "columns" in fields else None,
        notes=notes,
        fingerprint=hashlib.sha256(text.encode() + msgspec.json.encode(lookups, order="sorted")).hexdigest(),
    )
    if made.group_by is not None:
        outside = sorted({path[0] for path in made.reads()} - set(GROUP_FIELDS))
        if outside:
            name = outside[0]
            raise fields["group_by"].error(
                f"the record of a group is {{key, rows}}: write `rows[0].{name}` or the like instead of `{name}`"
            )
    return made


def group_key(rules: MappingRules, row: Any) -> str | Failed:
    """The key of the group that a row belongs to, as text.

    Args:
        rules: a mapping with `group_by`.
        row: one row of the file.
    """
    assert rules.group_by is not None
    try:
        value = rules.group_by(row)
        if value is None or value == "":
            return Failed(outcome.MISSING, "group_by", "a value: the row belongs to no group")
        return texts.key(value)
    except Unfit as unfit:
        return Failed(unfit.code, "group_by", unfit.rule, unfit.value)


@cache
def _contracts() -> Mapping[str, Contract]:
    """Read once: a process that uses four mappings would read the same eight files four times."""
    return event_contracts.load()


def _skip(number: int, node: Node, language: Language) -> SkipRule:
    fields = node.fields(("when", "reason"), required=("when", "reason"))
    return SkipRule(number, language.compile(fields["when"]), fields["reason"].text())


def _groups(fields: dict[str, Node]) -> Groups:
    if "groups" not in fields:
        return "adjacent"
    node = fields["groups"]
    if "group_by" not in fields:
        raise node.error("`groups` goes with `group_by`")
    if node.value == "adjacent":
        return "adjacent"
    if node.value == "scattered":
        return "scattered"
    raise node.error("`adjacent` (the rows of a group follow each other) or `scattered` (they are brought together first)")


def _columns(node: Node) -> dict[str, str]:
    for column in node.fields().values():
        if column.value not in COLUMN_TYPES:
            raise column.error(f"a type is one of {', '.join(COLUMN_TYPES)}")
    plain: dict[str, str] = node.plain()
    return plain


def _check_json(value: Any, depth: int = 0) -> None:
    """What JSON, 64 bits and the platform can hold; the rest would be changed in silence on the way."""
    if isinstance(value, str) or value is None or isinstance(value, bool):
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            try:
                _check_json(inner, depth + 1)
            except Unfit as unfit:
                raise unfit.at(f".{name}") from None
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            try:
                _check_json(inner, depth + 1)
            except Unfit as unfit:
                raise unfit.at(f"[{number}]") from None
    elif isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise Unfit("a number that 64 bits can hold", value)
    elif not isinstance(value, float) or value != value or value in (float("inf"), float("-inf")):
        raise Unfit("a value that JSON can hold", value)
