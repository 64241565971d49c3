"""What is counted of one field while rows go by, in bounded memory."""

import hashlib
import json
import re
from collections import Counter
from typing import Any, Final

import msgspec
from datasketches import hll_sketch

from importers.mapping.amounts import parse_number
from importers.mapping.reads import ENTRY
from importers.personal import looks_personal, shape
from importers.profiling import names
from importers.profiling.kinds import MISSING, TIME_FORMS, joint, kind_of, time_forms

EXACT: Final = 10_000
"""Values told apart exactly; beyond that by a HyperLogLog sketch (2 ** 12 registers: 1.6 % standard error)."""
LG_REGISTERS: Final = 12
UNIQUE: Final = 1_000_000
"""So many values are watched for a repetition."""
EXAMPLES: Final = 3
SHOWN: Final = 40
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
NUMERIC: Final = ("integer", "number", "text:integer", "text:number", "text:number,")
_PERSONAL_KINDS: Final = ("text:email", "text:phone")


class FieldSummary(msgspec.Struct, frozen=True):
    """What was found of a field.

    Attributes:
        name: with dots into objects and `[]` into lists; a name that is no plain word stands in quotes.
        path: the names on the way to it, as they are; `[]` for the entries of a list.
        kinds: share of each kind (see `importers.profiling.kinds`) among values that are there, the most frequent first.
        filled: share of rows (or of the objects around it) that have a value.
        distinct: number of different values.
        is_exact: whether that was counted, not estimated.
        is_unique: whether no value came twice.
        runs: how often the value changed from one row to the next, plus one: as many as distinct values when equal ones are together.
        smallest: of numbers by size, of text by order; the shape only when personal.
        largest: likewise.
        examples: some values; shapes only when personal.
        personal: whether it is or looks personal.
        time_forms: formats of `parse_time` that fit every value.
        kind: what all values can be read as; `mixed` when there is no such kind.
    """

    name: str
    path: list[str]
    kinds: dict[str, float]
    filled: float
    distinct: int
    is_exact: bool
    is_unique: bool
    runs: int
    smallest: str
    largest: str
    examples: list[str]
    personal: bool
    time_forms: list[str]
    kind: str


class Field:
    """Counts values of one field.

    Args:
        path: the names on the way to it.
    """

    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path
        self.kinds: Counter[str] = Counter()
        self._exact: set[int] | None = set()
        self._sketch: Any = None
        self._unrepeated: set[int] | None = set()
        self._runs = 0
        self._last: int | None = None
        self._numbers: list[float] = []
        self._texts: list[str] = []
        self._examples: list[Any] = []
        self._forms: tuple[str, ...] = TIME_FORMS

    @property
    def values(self) -> int:
        """Number of values that were there."""
        return self.kinds.total() - self.kinds[MISSING]

    def add(self, value: Any) -> None:
        """Count one value."""
        kind = kind_of(value)
        self.kinds[kind] += 1
        if kind in (MISSING, "object", "list"):
            return
        self._count(value)
        if isinstance(value, str):
            text = value[: SHOWN * 2]
            self._texts = [min(self._texts[0], text), max(self._texts[1], text)] if self._texts else [text, text]
            if kind == "text:time" and self._forms:
                self._forms = time_forms(value, self._forms)
        if kind in NUMERIC:
            number = value if not isinstance(value, str) else parse_number(value, "," if kind.endswith(",") else ".")
            self._numbers = [min(self._numbers[0], number), max(self._numbers[1], number)] if self._numbers else [number, number]
        if len(self._examples) < EXAMPLES and value not in self._examples:
            self._examples.append(value)

    def summary(self, parents: int) -> FieldSummary:
        """What was found, given how many rows or objects could have had the field."""
        shares = {kind: count / self.values for kind, count in self.kinds.most_common() if kind != MISSING}
        examples = [str(value) for value in self._examples]
        personal = names.is_personal(self.path[-1]) or any(shares.get(kind, 0) > 0.5 for kind in _PERSONAL_KINDS)
        personal = personal or any(looks_personal(text) for text in examples)
        kind = joint(shares)
        bounds = [str(bound) for bound in (self._numbers if kind in NUMERIC else self._texts)] or ["", ""]
        distinct = len(self._exact) if self._exact is not None else round(self._sketch.get_estimate())
        return FieldSummary(
            name=shown_path(self.path),
            path=list(self.path),
            kinds=shares,
            filled=self.values / parents if parents else 0.0,
            distinct=distinct,
            is_exact=self._exact is not None,
            is_unique=self._unrepeated is not None and self.values > 1,
            runs=self._runs,
            smallest=_shown(bounds[0], personal),
            largest=_shown(bounds[1], personal),
            examples=[_shown(text, personal) for text in examples],
            personal=personal,
            time_forms=list(self._forms) if kind == "text:time" else [],
            kind=kind,
        )

    def _count(self, value: Any) -> None:
        mark = _mark(value)
        if mark != self._last:
            self._runs += 1
            self._last = mark
        if self._unrepeated is not None:
            if mark in self._unrepeated:
                self._unrepeated = None
            elif len(self._unrepeated) < UNIQUE:
                self._unrepeated.add(mark)
        if self._exact is not None:
            self._exact.add(mark)
            if len(self._exact) <= EXACT:
                return
            self._sketch = hll_sketch(LG_REGISTERS)
            for known in self._exact:
                self._sketch.update(known)
            self._exact = None
        self._sketch.update(mark)


def reference(name: str) -> str:
    """A field's name as an expression has it."""
    return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name, ensure_ascii=not name.isprintable())


def shown_path(path: tuple[str, ...]) -> str:
    """A path as people read it."""
    return ".".join(step if step == ENTRY else reference(step) for step in path).replace(f".{ENTRY}", ENTRY)


def _mark(value: Any) -> int:
    """64 bits that are the same in every process, so that an estimate is."""
    return int.from_bytes(hashlib.blake2b(f"{type(value).__name__}:{value}".encode(), digest_size=8).digest(), "big")


def _shown(text: str, personal: bool) -> str:
    text = shape(text) if personal else text
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
