"""A look at a source: every field, repeated rows, keys and the rows that contradict each other under them."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from importers.files.seen import SeenKeys
from importers.mapping.reads import ENTRY
from importers.profiling import names
from importers.profiling.fields import Field, FieldSummary, shown_path

KEYS_WATCHED: Final = 20_000
"""Values of a field under which rows are compared."""
FIELDS: Final = 400
DEPTH: Final = 6
KEPT: Final = 1000
"""First records, on which a draft is tried."""
_ROWS_TO_JUDGE: Final = 2000
_FEW: Final = 0.02
_ROWS_TO_CALL_UNIQUE: Final = 50
_NO_KEYS: Final = ("number", "text:number", "text:number,", "text:money", "text:time", "text:boolean", "boolean", "list", "object")
_TOGETHER: Final = 0.9
_canonical: Final = msgspec.json.Encoder(order="sorted", enc_hook=str).encode


class KeySummary(msgspec.Struct, frozen=True):
    """A field that may be a key.

    Attributes:
        field: its name.
        values: how many were watched (the first ones).
        repeated: how many of them came more than once.
        conflicting: how many of these came with rows that differ.
    """

    field: str
    values: int
    repeated: int
    conflicting: int


class Survey(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        source: file or topic.
        rows: rows looked at.
        unreadable: rows that could not be read.
        whole: whether these were all.
        duplicates: rows that are equal to an earlier one.
        fields: in the order in which they came.
        keys: candidates for keys.
        identifiers: field to namespace of config/identity.yaml.
        times: field to formats of `parse_time` that fit it; several when day and month cannot be told apart.
        money: fields that hold amounts.
        currencies: fields that hold currency codes.
        advice: what to do, in sentences.
    """

    source: str
    rows: int
    unreadable: int
    whole: bool
    duplicates: int
    fields: list[FieldSummary]
    keys: list[KeySummary]
    identifiers: dict[str, str]
    times: dict[str, list[str]]
    money: list[str]
    currencies: list[str]
    advice: list[str]


class Surveyor:
    """Looks at records, one after the other. A context manager.

    Args:
        source: file or topic, for the report.
        namespaces: names of identifiers.
    """

    def __init__(self, source: str, namespaces: Sequence[str]) -> None:
        self._source, self._namespaces = source, list(namespaces)
        self._fields: dict[tuple[str, ...], Field] = {}
        self._parents: dict[tuple[str, ...], int] = {}
        self._keys: dict[str, dict[int, int]] = {}
        self._repeats: dict[str, list[set[int]]] = {}
        self._rows = self._unreadable = self._duplicates = 0
        self._seen = SeenKeys()
        self.kept: list[dict[str, Any]] = []

    def __enter__(self) -> "Surveyor":
        self._seen.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._seen.__exit__(*exception)

    def add(self, record: dict[str, Any]) -> None:
        """Look at one record."""
        self._rows += 1
        if len(self.kept) < KEPT:
            self.kept.append(record)
        whole = _canonical(record)
        self._duplicates += not self._seen.add(whole.decode())
        self._object((), record, 0)
        row = hash(whole)
        for name, value in record.items():
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                # As text: of numbers Python hashes -1 and -2, 0 and 2 ** 61 - 1 alike.
                self._watch(name, hash(value if isinstance(value, str) else f"\0{value}"), row)

    def unreadable(self) -> None:
        """Count a row that could not be read."""
        self._unreadable += 1

    def result(self, whole: bool) -> Survey:
        """What was found.

        Args:
            whole: whether the records were all there are.
        """
        fields = [field.summary(self._parents[path[:-1]]) for path, field in self._fields.items()]
        tops = {field.path[0]: field for field in fields if len(field.path) == 1}
        keys = [self._key(name) for name in self._keys if name in tops and self._is_key(tops[name])]
        identifiers = {field.name: namespace for field in fields if (namespace := self._namespace(field))}
        times = {field.name: field.time_forms for field in fields if field.time_forms}
        currencies = [field.name for field in fields if names.is_currency(field.path[-1]) and field.kind == "text"]
        found = Survey(
            source=self._source,
            rows=self._rows,
            unreadable=self._unreadable,
            whole=whole,
            duplicates=self._duplicates,
            fields=fields,
            keys=keys,
            identifiers=identifiers,
            times=times,
            money=[field.name for field in fields if _is_money(field)],
            currencies=currencies,
            advice=[],
        )
        return msgspec.structs.replace(found, advice=_advice(found))

    def _object(self, path: tuple[str, ...], value: dict[str, Any], depth: int) -> None:
        self._parents[path] = self._parents.get(path, 0) + 1
        for name, inner in value.items():
            self._value((*path, str(name)), inner, depth)

    def _value(self, path: tuple[str, ...], value: Any, depth: int) -> None:
        field = self._fields.get(path)
        if field is None:
            if len(self._fields) >= FIELDS:
                return
            field = self._fields[path] = Field(path)
        field.add(value)
        if depth >= DEPTH:
            return
        if isinstance(value, dict):
            self._object(path, value, depth + 1)
        elif isinstance(value, list):
            for entry in value:
                if isinstance(entry, dict):
                    self._object((*path, ENTRY), entry, depth + 1)

    def _watch(self, name: str, value: int, row: int) -> None:
        """Compare rows under the first values of a field; a field with few values is no key and is let go."""
        known = self._keys.get(name)
        if known is None:
            if name in self._repeats or len(self._keys) >= FIELDS:
                return
            known = self._keys[name] = {}
            self._repeats[name] = [set(), set()]
        first = known.get(value)
        if first is None:
            if len(known) < KEYS_WATCHED:
                known[value] = row
        else:
            repeated, conflicting = self._repeats[name]
            repeated.add(value)
            if first != row:
                conflicting.add(value)
        if self._rows == _ROWS_TO_JUDGE and len(known) < _FEW * _ROWS_TO_JUDGE and not names.is_key(name):
            del self._keys[name]

    def _is_key(self, field: FieldSummary) -> bool:
        if field.filled <= 0.5 or self._rows < 2 or field.kind in _NO_KEYS:
            return False
        is_named = names.is_key(field.path[-1]) or bool(names.namespace_of(field.path[-1], self._namespaces))
        return is_named or (field.is_unique and self._rows >= _ROWS_TO_CALL_UNIQUE)

    def _key(self, name: str) -> KeySummary:
        repeated, conflicting = self._repeats[name]
        return KeySummary(shown_path((name,)), len(self._keys[name]), len(repeated), len(conflicting))

    def _namespace(self, field: FieldSummary) -> str:
        for kind, namespace in (("text:email", "email"), ("text:phone", "phone")):
            if field.kinds.get(kind, 0) > 0.8 and namespace in self._namespaces:
                return namespace
        named = names.namespace_of(field.path[-1], self._namespaces)
        return "" if field.kind in ("object", "list", "boolean") else named


def _is_money(field: FieldSummary) -> bool:
    if field.kind == "text:money":
        return True
    return names.is_money(field.path[-1]) and field.kind in ("integer", "number", "text:integer", "text:number", "text:number,")


def _advice(found: Survey) -> list[str]:
    said = []
    if found.unreadable:
        said.append(f"{found.unreadable:,} rows cannot be read: `cdp import --dry-run` shows them")
    if found.duplicates:
        said.append(f"{found.duplicates:,} rows are equal to an earlier one: with a business key as `message_id` they end as duplicates")
    if not found.identifiers:
        said.append("no field looks like an identifier: whom is a row about?")
    for name, forms in found.times.items():
        if len(forms) > 1 and {form[:2] for form in forms} >= {"%d", "%m"}:
            said.append(f"{name}: day and month cannot be told apart ({' or '.join(forms)}): ask")
    by_name = {field.name: field for field in found.fields}
    said += [line for key in found.keys if (line := _of_key(key, by_name[key.field], found))]
    return said + [line for field in found.fields if (line := _of_field(field))]


def _of_key(key: KeySummary, field: FieldSummary, found: Survey) -> str:
    """Rows that differ under one key are lines of one thing when they stand together, else they contradict each other."""
    if not key.conflicting or key.field in found.identifiers:
        return ""
    together = field.distinct / max(1, field.runs)
    if together >= _TOGETHER:
        how = "adjacent" if field.distinct == field.runs else "scattered"
        what = f"{key.conflicting:,} of {key.values:,} values have several rows that differ and stand together"
        return f"{key.field}: {what}: lines of one thing? then `group_by: {key.field}` with `groups: {how}`"
    if names.is_key(field.path[-1]):
        return f"{key.field}: {key.conflicting:,} of {key.values:,} values have rows that differ: it is no key of a row"
    return ""


def _of_field(field: FieldSummary) -> str:
    if field.filled == 0:
        return f"{field.name}: is never filled"
    first, share = next(iter(field.kinds.items()))
    if first != field.kind and first != "text" and share > 0.5 and field.kind in ("text", "mixed"):
        rest = ", ".join(f"{kind.removeprefix('text:')} {part:.1%}" for kind, part in list(field.kinds.items())[:3])
        return f"{field.name}: is of several kinds ({rest}), so it is read as it stands"
    return ""
