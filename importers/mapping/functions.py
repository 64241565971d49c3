"""The functions of the mapping language: JMESPath's own and ours. What is constant in a call is checked when the mapping is loaded."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from jmespath.functions import Functions as Standard

from config.sources import Decimals
from importers.mapping import amounts, arithmetic, decimals, lists, texts, times
from importers.mapping.comparisons import in_order
from importers.mapping.document import hint
from importers.mapping.unfit import Unfit


class Function(NamedTuple):
    """One of ours.

    Attributes:
        call: gets the arguments as values. A null first argument gives null without a call: what is missing stays missing.
        least: fewest arguments.
        most: most arguments.
        check: gets the constant arguments after the first when a mapping is loaded (None for what is not constant), and raises ValueError.
        nulls: whether any null argument gives null, not only the first.
    """

    call: Callable[..., Any]
    least: int
    most: int
    check: Callable[[list[Any]], None] | None = None
    nulls: bool = False


def _check_decimal(literals: list[Any]) -> None:
    if literals and literals[0] is not None:
        amounts.check_decimal(literals[0])


ANY: Final = 1000
OURS: Final[Mapping[str, Function]] = {
    "text": Function(texts.text, 1, 1),
    "trim": Function(texts.trim, 1, 1),
    "lower": Function(texts.lower, 1, 1),
    "upper": Function(texts.upper, 1, 1),
    "replace": Function(texts.replace, 3, 3),
    "split": Function(texts.split, 2, 2),
    "digest": Function(texts.digest, 1, 1),
    "parse_boolean": Function(texts.parse_boolean, 1, 3),
    "parse_json": Function(texts.parse_json, 1, 1),
    "where": Function(lists.where, 3, 3),
    "parse_number": Function(amounts.parse_number, 1, 2, _check_decimal),
    "parse_integer": Function(amounts.parse_integer, 1, 2, _check_decimal),
    "parse_money": Function(amounts.parse_money, 1, 2, _check_decimal),
    "currency_of": Function(amounts.currency_of, 1, 2, _check_decimal),
    "parse_unscaled": Function(decimals.parse_unscaled, 2, 2),
    "parse_time": Function(times.parse_time, 2, 4, times.check_time),
    "parse_date": Function(times.parse_date, 2, 2, times.check_date),
    "to_number": Function(amounts.to_number, 1, 1),
    "add": Function(arithmetic.add, 2, ANY, nulls=True),
    "subtract": Function(arithmetic.subtract, 2, 2, nulls=True),
    "multiply": Function(arithmetic.multiply, 2, ANY, nulls=True),
    "divide": Function(arithmetic.divide, 2, 2, nulls=True),
    "round": Function(arithmetic.rounded, 2, 2),
}
LOOKUP: Final = Function(lambda: None, 2, 3)
STANDARD: Final[Mapping[str, Any]] = Standard.FUNCTION_TABLE


class Functions(Standard):
    """What JMESPath's interpreter calls.

    Args:
        tables: the mapping's, for `lookup`.
        decimals: form of Debezium's decimals, for `parse_unscaled`.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Any]], decimals: Decimals = "") -> None:
        self._tables, self._decimals = tables, decimals

    def call_function(self, function_name: str, resolved_args: Iterable[Any]) -> Any:
        """Call one of ours or JMESPath's own; names and numbers of arguments were checked when the mapping was loaded."""
        arguments = list(resolved_args)
        if function_name == "lookup":
            return self._lookup(*arguments)
        function = OURS.get(function_name)
        if function is None:
            if function_name in ("max", "min", "sort") and isinstance(arguments[0], list):
                in_order(arguments[0])
            return super().call_function(function_name, arguments)
        if arguments[0] is None or (function.nulls and None in arguments):
            return None
        return function.call(*arguments, self._decimals) if function.call is decimals.parse_unscaled else function.call(*arguments)

    def check_call(self, name: str, arguments: int, literals: list[Any]) -> None:
        """Check a call when a mapping is loaded.

        Args:
            name: of the function.
            arguments: how many it is given.
            literals: the constant ones, None for each that is computed.

        Raises:
            ValueError: there is no such function, or it cannot be called so.
        """
        if name == "lookup":
            self._check_lookup(arguments, literals)
            return
        function = OURS.get(name)
        if function is None:
            _check_standard(name, arguments)
            return
        if not function.least <= arguments <= function.most:
            raise ValueError(f"{name}() takes {_span(function.least, function.most)}, not {arguments}")
        if function.check is not None:
            function.check(literals[1:])

    def _lookup(self, table: str, key: Any, *default: Any) -> Any:
        if key is None:
            return None
        found = self._tables[table].get(texts.text(key))
        if found is not None:
            return found
        if default:
            return default[0]
        raise Unfit(f"a key of the table `{table}`", key)

    def _check_lookup(self, arguments: int, literals: list[Any]) -> None:
        if not LOOKUP.least <= arguments <= LOOKUP.most:
            raise ValueError(f"lookup() takes {_span(LOOKUP.least, LOOKUP.most)}, not {arguments}")
        if not isinstance(literals[0], str):
            raise ValueError("the first argument of lookup() is the name of a table in quotes: lookup('countries', Country)")
        if literals[0] not in self._tables:
            raise ValueError(f"there is no table `{literals[0]}`{hint(literals[0], self._tables) or '; add it under `tables`'}")


def _check_standard(name: str, arguments: int) -> None:
    if name not in STANDARD:
        raise ValueError(f"there is no function `{name}`{hint(name, sorted([*OURS, *STANDARD, 'lookup']))}")
    signature = STANDARD[name]["signature"]
    variadic = bool(signature) and bool(signature[-1].get("variadic"))
    if arguments != len(signature) and not (variadic and arguments > len(signature)):
        raise ValueError(f"{name}() takes {_span(len(signature), ANY if variadic else len(signature))}, not {arguments}")


def _span(least: int, most: int) -> str:
    if most == ANY:
        return f"{least} or more arguments"
    return f"{least} argument{'' if least == 1 else 's'}" if least == most else f"{least} to {most} arguments"
