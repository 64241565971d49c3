"""Consistency rules within one event: the rule language over the fields of a contract, as ClickHouse SQL.

An event is judged only where each field that the rule reads is there, and each list it goes through has entries, all with the fields that
it reads of them.
"""

from typing import Final

import msgspec

from pipelines.rules import sql
from pipelines.rules.errors import RuleError
from pipelines.rules.events import event_symbols, read_event
from pipelines.rules.sql import quoted
from pipelines.rules.symbols import Symbol
from pipelines.rules.tree import Field, Kind, walk
from schemas.contracts import Contract

ROW: Final = "\0row"
_TYPES: Final[dict[Kind, str]] = {"number": "Nullable(Float64)", "truth": "Nullable(Bool)"}


class Compiled(msgspec.Struct, frozen=True):
    """A rule as SQL.

    Attributes:
        fields: field -> type to read it with, as an element of `JSONExtract(properties, 'Tuple(...)')`.
        applies: SQL condition: every field it reads is there.
        holds: SQL condition, meaningful where it applies. In both `ROW` stands for the tuple.
    """

    fields: dict[str, str]
    applies: str
    holds: str

    def on(self, row: str) -> "Compiled":
        """The same for a tuple of this name."""
        return Compiled(self.fields, self.applies.replace(ROW, row), self.holds.replace(ROW, row))


def compile_rule(text: str, contract: Contract, unless: list[str], where: str) -> Compiled:
    """Compile a rule.

    Args:
        text: the expression.
        contract: of the event it is about.
        unless: fields whose presence makes the rule void.
        where: prefix of error messages.

    Raises:
        RuleError: the text is no rule over the fields of the contract.
    """
    symbols = event_symbols(contract, _element)
    tree = read_event(text, symbols, where)
    reads = [node for node in walk(tree) if isinstance(node, Field)]
    plain = dict.fromkeys(node.name for node in reads if not node.of and symbols[node.name].kind != "list")
    entries: dict[str, dict[str, None]] = {node.of or node.name: {} for node in reads if node.of or node.name not in plain}
    for node in reads:
        if node.of:
            entries[node.of][node.name] = None
    if not plain and not entries:
        raise RuleError(where, "reads no field")
    fields = {name: _type(symbols[name]) for name in plain}
    applies = [f"isNotNull({_element(name)})" for name in plain]
    for name, inner in entries.items():
        parts = ", ".join(f"`{label}` {_type(symbols[name].entries[label])}" for label in inner)
        fields[name] = f"Array(Tuple({parts}))" if inner else "Array(String)"
        applies.append(f"notEmpty({_element(name)})")
        applies += [f"not arrayExists(entry -> isNull(entry.`{label}`), {_element(name)})" for label in inner]
    for name in unless:
        if name not in contract.fields:
            raise RuleError(where, f"{contract.name} has no field `{name}`{symbols.near(name)}")
        if name in fields:
            raise RuleError(where, f"`{name}` is both read and in `unless`")
        fields[name] = "Nullable(String)"
        applies.append(f"ifNull({_element(name)}, '') in ('', '[]', '{{}}')")
    return Compiled(fields, " and ".join(applies), sql.condition(tree, symbols))


def _type(symbol: Symbol) -> str:
    return _TYPES.get(symbol.kind, "Nullable(String)")


def _element(name: str) -> str:
    return f"tupleElement({ROW}, {quoted(name)})"
