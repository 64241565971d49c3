"""What a field of an event is made of: an expression, a constant, or a structure of these. Null counts as absent everywhere."""

from typing import Any, Final, Protocol

from importers.mapping import outcome
from importers.mapping.document import Node, hint
from importers.mapping.expressions import Expression, Language
from importers.mapping.reads import Path, entries
from importers.mapping.unfit import Unfit

OPERATORS: Final = ("$constant", "$required", "$cases", "$each", "$copy")
MAX_ENTRIES: Final = 100_000


class Template(Protocol):
    """Makes a value out of a record."""

    def value(self, record: Any) -> Any:
        """The value; None when there is none.

        Raises:
            Unfit: the record does not fit; the path leads to the field.
        """
        ...

    def reads(self, scope: frozenset[Path]) -> frozenset[Path]:
        """Paths of the record it looks at."""
        ...


class Constant:
    """Always the same value."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def value(self, record: Any) -> Any:
        """The constant."""
        return self._value

    def reads(self, scope: frozenset[Path]) -> frozenset[Path]:
        """Nothing."""
        return frozenset()


class Computed:
    """What an expression gives."""

    def __init__(self, expression: Expression) -> None:
        self._expression = expression
        self.value = expression.__call__
        self.reads = expression.reads


class Required:
    """What a template gives, and an error when that is nothing."""

    def __init__(self, inner: Template) -> None:
        self._inner = inner

    def value(self, record: Any) -> Any:
        """The value, never None."""
        value = self._inner.value(record)
        if value is None or value == "":
            raise Unfit("a value (it is required)", code=outcome.MISSING)
        return value

    def reads(self, scope: frozenset[Path]) -> frozenset[Path]:
        """What the inner one reads."""
        return self._inner.reads(scope)


class Cases:
    """The value of the first case that holds."""

    def __init__(self, cases: list[tuple[Expression | None, Template]]) -> None:
        self._cases = cases

    def value(self, record: Any) -> Any:
        """Of the first case; None when none holds and there is no `else`."""
        for when, then in self._cases:
            if when is None or when.holds(record):
                return then.value(record)
        return None

    def reads(self, scope: frozenset[Path]) -> frozenset[Path]:
        """What conditions and values read."""
        found = [then.reads(scope) for _, then in self._cases]
        return frozenset().union(*found, *(when.reads(scope) for when, _ in self._cases if when is not None))


class Object:
    """An object of fields, new or a changed copy of one in the record. An object without fields counts as absent."""

    def __init__(self, fields: dict[str, Template], copied: Expression | None = None) -> None:
        self.fields = fields
        self.copied = copied

    def value(self, record: Any) -> dict[str, Any] | None:
        """The object; None when nothing is in it."""
        made: dict[str, Any] = {}
        if self.copied is not None:
            original = self.copied(record)
            if original is not None and not isinstance(original, dict):
                raise Unfit("an object to copy", original)
            made.update(original or {})
        for name, template in self.fields.items():
            try:
                value = template.value(record)
            except Unfit as unfit:
                raise unfit.at("." + name) from None
            if value is not None:
                made[name] = value
            elif name in made:
                del made[name]
        return made or None

    def reads(self, scope: frozenset[Path]) -> frozenset[Path]:
        """What the fields read."""
        found = [template.reads(scope) for template in self.fields.values()]
        return frozenset().union(*found, self.copied.reads(scope) if self.copied is not None else ())


class Listed:
    """A list of templates, without those that give nothing."""

    def __init__(self, entries: list[Template]) -> None:
        self._entries = entries

    def value(self, record: Any) -> list[Any] | None:
        """The list; None when it is empty."""
        made = []
        for number, entry in enumerate(self._entries):
            try:
                value = entry.value(record)
            except Unfit as unfit:
                raise unfit.at(f"[{number}]") from None
            if value is not None:
                made.append(value)
        return made or None

    def reads(self, scope: frozenset[Path]) -> frozenset[Path]:
        """What the entries read."""
        return frozenset().union(*(entry.reads(scope) for entry in self._entries))


class Each:
    """One value for each entry of a list of the record.

    Args:
        over: gives the list.
        item: evaluated on each entry, with the names of `let` added to it.
        let: evaluated once on the record around the list.
    """

    def __init__(self, over: Expression, item: Template, let: dict[str, Expression]) -> None:
        self._over, self._item, self._let = over, item, let

    def value(self, record: Any) -> list[Any] | None:
        """The list; None when there is none to go over. An entry that gives nothing is left out."""
        entries = self._over(record)
        if entries is None:
            return None
        if not isinstance(entries, list) or len(entries) > MAX_ENTRIES:
            raise Unfit(f"a list of at most {MAX_ENTRIES:,} entries", type(entries).__name__)
        outer = {name: expression(record) for name, expression in self._let.items()}
        made = []
        for number, entry in enumerate(entries):
            try:
                if outer and not isinstance(entry, dict):
                    raise Unfit("an object (`$let` adds names to it)", entry)
                value = self._item.value({**entry, **outer} if outer else entry)
            except Unfit as unfit:
                raise unfit.at(f"[{number}]") from None
            if value is not None:
                made.append(value)
        return made

    def reads(self, scope: frozenset[Path]) -> frozenset[Path]:
        """What the list, the names and the entries' values read."""
        inside = entries(self._over.results(scope))
        named = {(*path, name) for path in inside for name in self._let}
        from_entries = frozenset(path for path in self._item.reads(inside) if not any(path[: len(name)] == name for name in named))
        return frozenset().union(self._over.reads(scope), from_entries, *(let.reads(scope) for let in self._let.values()))


def compile_template(node: Node, language: Language) -> Template:
    """Compile a part of a document that says how a field is made.

    Raises:
        MappingError: it cannot be understood.
    """
    if isinstance(node.value, str):
        return Computed(language.compile(node))
    if isinstance(node.value, list):
        return Listed([compile_template(entry, language) for entry in node.value])
    if not isinstance(node.value, dict):
        return Constant(node.value)
    operators = [name for name in node.value if name.startswith("$")]
    if not operators:
        return compile_object(node, language)
    fields = node.value
    if operators == ["$constant"]:
        node.fields(("$constant",))
        return Constant(fields["$constant"].plain())
    if operators == ["$required"]:
        node.fields(("$required",))
        return Required(compile_template(fields["$required"], language))
    if operators == ["$cases"]:
        node.fields(("$cases",))
        return _cases(fields["$cases"], language)
    if operators == ["$copy"]:
        return compile_object(node, language)
    if "$each" in operators:
        return _each(node, language)
    unknown = [name for name in operators if name not in (*OPERATORS, "$item", "$let")]
    if unknown:
        raise fields[unknown[0]].error(f"there is no `{unknown[0]}`{hint(unknown[0], OPERATORS)}")
    raise node.error(f"{' and '.join(f'`{name}`' for name in operators)} do not go together")


def compile_object(node: Node, language: Language, but: tuple[str, ...] = ()) -> Object:
    """Compile a map of fields, with `$copy` or without.

    Args:
        node: the map.
        language: for its expressions.
        but: keys that are somebody else's.

    Raises:
        MappingError: a field cannot be understood.
    """
    fields = node.fields()
    copied = language.compile(fields["$copy"]) if "$copy" in fields else None
    made = {name: compile_template(field, language) for name, field in fields.items() if name not in (*but, "$copy")}
    return Object(made, copied)


def _cases(node: Node, language: Language) -> Cases:
    made: list[tuple[Expression | None, Template]] = []
    entries = node.entries()
    if not entries:
        raise node.error("at least one case is needed")
    for number, entry in enumerate(entries):
        fields = entry.fields(("when", "then", "else"))
        if "else" in fields:
            if len(fields) > 1 or number + 1 < len(entries):
                raise entry.error("`else` stands alone, as the last case")
            made.append((None, compile_template(fields["else"], language)))
            continue
        entry.fields(("when", "then"), required=("when", "then"))
        made.append((language.compile(fields["when"]), compile_template(fields["then"], language)))
    return Cases(made)


def _each(node: Node, language: Language) -> Each:
    fields = node.fields(("$each", "$item", "$let"), required=("$each", "$item"))
    let = {name: language.compile(inner) for name, inner in fields["$let"].fields().items()} if "$let" in fields else {}
    return Each(language.compile(fields["$each"]), compile_template(fields["$item"], language), let)
