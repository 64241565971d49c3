"""Every operator and function of the rule language: what it takes and gives, its Python, its ClickHouse SQL. A new one is an entry here.

In a template `{0}`, `{1}`, ... stand for the arguments, none of which is missing, and of which all numbers are doubles; `{rest}` for all
but the first. (`IN` of ClickHouse takes 0 and -0 for two; what is named twice doubles the text at each level.) A missing argument makes the
result missing, and a condition over something missing does not hold; the forms that differ (`is missing`, `coalesce`, `and`, `or`, `not`)
are known to the back ends. Where Python and SQL would give different numbers, the SQL is what is followed. A Python template reaches
nothing but the names in `pipelines.rules.python.HELPERS`, which is checked when that module is imported.
"""

import math
from collections.abc import Callable
from typing import Any, Final
from typing import Literal as OneOf

import msgspec

from pipelines.rules import like
from pipelines.rules.tree import Kind

Form = OneOf["infix", "prefix", "postfix", "call", "over"]
Signature = tuple[tuple[Kind, ...], Kind]


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """An operator or a function.

    Attributes:
        name: as rules write it.
        about: what it gives, in a few words, for docs and messages.
        signatures: kinds of arguments, and the kind of the result.
        python: template of a Python expression.
        sql: template of a ClickHouse expression.
        needs: template of a Python condition without which the result is missing.
        form: how it is written; `over`: as a call, and its argument is computed for each entry of a list.
        more: whether the last argument may be repeated.
        literals: places of arguments that have to be literals.
        prepare: makes of the literal in the last place what Python's template has for it.
        prepare_sql: the same for SQL.
        check: raises ValueError for a literal in the last place that cannot be.
    """

    name: str
    about: str
    signatures: list[Signature]
    python: str
    sql: str
    needs: str = ""
    form: Form = "call"
    more: bool = False
    literals: tuple[int, ...] = ()
    prepare: Callable[[Any], Any] | None = None
    prepare_sql: Callable[[Any], Any] | None = None
    check: Callable[[Any], object] | None = None

    @property
    def is_condition(self) -> bool:
        """Whether it holds or does not hold."""
        return self.signatures[0][1] == "truth"


def _digits(value: float) -> float:
    if value != int(value) or not 0 <= value <= 9:
        raise ValueError("`round` takes a whole number of digits, 0 to 9")
    return float(10 ** int(value))


def rounded(number: float, scale: float) -> float:
    """Half to even, by the scale: what ClickHouse's `round` computes of a double."""
    scaled = number * scale
    return round(scaled) / scale if math.isfinite(scaled) else scaled / scale


def _compare(name: str, about: str, operator: str, *, is_order: bool) -> Function:
    kinds: list[Kind] = ["number", "time", "duration"] if is_order else ["number", "time", "duration", "text", "truth"]
    signatures: list[Signature] = [((kind, kind), "truth") for kind in kinds]
    sql = "=" if operator == "==" else operator
    return Function(name=name, about=about, signatures=signatures, python=f"{{0}} {operator} {{1}}", sql=f"{{0}} {sql} {{1}}", form="infix")


_ALL: Final = [
    Function(
        name="+",
        about="the sum",
        signatures=[
            (("number", "number"), "number"),
            (("time", "duration"), "time"),
            (("duration", "time"), "time"),
            (("duration", "duration"), "duration"),
        ],
        python="{0} + {1}",
        sql="{0} + {1}",
        form="infix",
    ),
    Function(
        name="-",
        about="the difference; of two times a duration",
        signatures=[
            (("number", "number"), "number"),
            (("time", "time"), "duration"),
            (("time", "duration"), "time"),
            (("duration", "duration"), "duration"),
        ],
        python="{0} - {1}",
        sql="{0} - {1}",
        form="infix",
    ),
    Function(
        name="*",
        about="the product",
        signatures=[
            (("number", "number"), "number"),
            (("duration", "number"), "duration"),
            (("number", "duration"), "duration"),
        ],
        python="{0} * {1}",
        sql="{0} * {1}",
        form="infix",
    ),
    Function(
        name="/",
        about="the quotient; missing when it is divided by zero",
        signatures=[
            (("number", "number"), "number"),
            (("duration", "number"), "duration"),
            (("duration", "duration"), "number"),
        ],
        python="{0} / {1}",
        sql="{0} / nullIf({1}, 0)",
        needs="{1} != 0",
        form="infix",
    ),
    Function(
        name="negative",
        about="the same with the other sign",
        signatures=[(("number",), "number"), (("duration",), "duration")],
        python="-{0}",
        sql="-{0}",
        form="prefix",
    ),
    _compare("<", "less", "<", is_order=True),
    _compare("<=", "less or equal", "<=", is_order=True),
    _compare(">", "greater", ">", is_order=True),
    _compare(">=", "greater or equal", ">=", is_order=True),
    _compare("=", "equal", "==", is_order=False),
    _compare("!=", "there and different", "!=", is_order=False),
    Function(
        name="like",
        about="a text matches a pattern: % stands for any characters, _ for one",
        signatures=[(("text", "text"), "truth")],
        python="{1}({0})",
        sql="{0} LIKE {1}",
        form="infix",
        literals=(1,),
        prepare=like.matcher,
        prepare_sql=like.for_clickhouse,
        check=like.parts,
    ),
    Function(
        name="not like",
        about="a text is there and does not match a pattern",
        signatures=[(("text", "text"), "truth")],
        python="not {1}({0})",
        sql="NOT {0} LIKE {1}",
        form="infix",
        literals=(1,),
        prepare=like.matcher,
        prepare_sql=like.for_clickhouse,
        check=like.parts,
    ),
    Function(
        name="in",
        about="one of several values",
        signatures=[((kind, kind), "truth") for kind in ("number", "text", "time", "duration")],
        python="{0} in ({rest},)",
        sql="arrayExists(one -> ifNull({0} = one, 0), [{rest}])",
        form="infix",
        more=True,
        literals=(1,),
    ),
    Function(
        name="not in",
        about="there, and none of several values",
        signatures=[((kind, kind), "truth") for kind in ("number", "text", "time", "duration")],
        python="{0} not in ({rest},)",
        sql="isNotNull({0}) AND NOT arrayExists(one -> ifNull({0} = one, 0), [{rest}])",
        form="infix",
        more=True,
        literals=(1,),
    ),
    Function(
        name="among",
        about="a text is in a set",
        signatures=[(("text", "set"), "truth")],
        python="{0} in {1}",
        sql="isNotNull({0}) AND has({1}, assumeNotNull({0}))",
        form="infix",
    ),
    Function(
        name="not among",
        about="a text is not in a set",
        signatures=[(("text", "set"), "truth")],
        python="{0} not in {1}",
        sql="isNotNull({0}) AND NOT has({1}, assumeNotNull({0}))",
        form="infix",
    ),
    Function(
        name="is missing",
        about="nobody knows it",
        signatures=[((kind,), "truth") for kind in ("number", "text", "truth", "time", "duration")],
        python="",
        sql="isNull({0})",
        form="postfix",
    ),
    Function(
        name="is known",
        about="the contrary of `is missing`",
        signatures=[((kind,), "truth") for kind in ("number", "text", "truth", "time", "duration")],
        python="",
        sql="isNotNull({0})",
        form="postfix",
    ),
    Function(
        name="coalesce",
        about="the first that is not missing",
        signatures=[((kind, kind), kind) for kind in ("number", "text", "time", "duration")],
        python="",
        sql="coalesce({0}, {1})",
    ),
    Function(
        name="abs",
        about="the size without the sign",
        signatures=[(("number",), "number"), (("duration",), "duration")],
        python="abs({0})",
        sql="abs({0})",
    ),
    Function(
        name="round",
        about="rounded to so many digits behind the point, a half to the even neighbour",
        signatures=[(("number", "number"), "number")],
        python="rounded({0}, {1})",
        sql="round({0}, {1})",
        literals=(1,),
        prepare=_digits,
        prepare_sql=int,
        check=_digits,
    ),
    Function(
        name="floor", about="the next lower whole number", signatures=[(("number",), "number")], python="floor({0})", sql="floor({0})"
    ),
    Function(name="ceil", about="the next higher whole number", signatures=[(("number",), "number")], python="ceil({0})", sql="ceil({0})"),
    Function(
        name="least",
        about="the smaller of two",
        signatures=[((kind, kind), kind) for kind in ("number", "time", "duration")],
        python="min({0}, {1})",
        sql="arrayMap((a, b) -> if(isNull(a) OR isNull(b), NULL, least(a, b)), [{0}], [{1}])[1]",
    ),
    Function(
        name="greatest",
        about="the greater of two",
        signatures=[((kind, kind), kind) for kind in ("number", "time", "duration")],
        python="max({0}, {1})",
        sql="arrayMap((a, b) -> if(isNull(a) OR isNull(b), NULL, greatest(a, b)), [{0}], [{1}])[1]",
    ),
    Function(
        name="length",
        about="the number of characters of a text",
        signatures=[(("text",), "number")],
        python="len({0})",
        sql="toFloat64(lengthUTF8({0}))",
    ),
    Function(
        name="contains",
        about="a text has another one in it",
        signatures=[(("text", "text"), "truth")],
        python="{1} in {0}",
        sql="position({0}, {1}) > 0",
    ),
    Function(
        name="starts_with",
        about="a text begins with another one",
        signatures=[(("text", "text"), "truth")],
        python="{0}.startswith({1})",
        sql="startsWith({0}, {1})",
    ),
    Function(
        name="ends_with",
        about="a text ends with another one",
        signatures=[(("text", "text"), "truth")],
        python="{0}.endswith({1})",
        sql="endsWith({0}, {1})",
    ),
    Function(
        name="ago",
        about="the moment so long before now",
        signatures=[(("duration",), "time")],
        python="now - {0}",
        sql="{now} - {0}",
    ),
    Function(
        name="days",
        about="a duration in days",
        signatures=[(("duration",), "number")],
        python="{0} / 86400000.0",
        sql="{0} / 86400000",
    ),
    Function(
        name="hours",
        about="a duration in hours",
        signatures=[(("duration",), "number")],
        python="{0} / 3600000.0",
        sql="{0} / 3600000",
    ),
    Function(
        name="hour",
        about="the hour of the day, 0 to 23, in UTC",
        signatures=[(("time",), "number")],
        python="floor({0} / 3600000.0) % 24",
        sql="positiveModulo(floor({0} / 3600000), 24)",
    ),
    Function(
        name="weekday",
        about="the day of the week, 1 (Monday) to 7, in UTC",
        signatures=[(("time",), "number")],
        python="(floor({0} / 86400000.0) + 3) % 7 + 1",
        sql="positiveModulo(floor({0} / 86400000) + 3, 7) + 1",
    ),
    Function(
        name="count",
        about="how many a set or a list has",
        signatures=[(("set",), "number"), (("list",), "number")],
        python="len({0})",
        sql="toFloat64(length({0}))",
    ),
    Function(
        name="has_any",
        about="a set has at least one of several",
        signatures=[(("set", "text"), "truth")],
        python="any(one in {0} for one in ({rest},))",
        sql="hasAny({0}, [{rest}])",
        more=True,
        literals=(1,),
    ),
    Function(
        name="has_all",
        about="a set has each of several",
        signatures=[(("set", "text"), "truth")],
        python="all(one in {0} for one in ({rest},))",
        sql="hasAll({0}, [{rest}])",
        more=True,
        literals=(1,),
    ),
    Function(
        name="sum",
        about="the sum over the entries of a list; missing when one of them is",
        signatures=[(("number",), "number")],
        python="sum({0}, 0.0)",
        sql="arraySum({0})",
        form="over",
    ),
    Function(
        name="min",
        about="the least over the entries of a list; missing when one of them is, or there is none",
        signatures=[(("number",), "number")],
        python="min({0})",
        sql="arrayMin({0})",
        needs="{0} != []",
        form="over",
    ),
    Function(
        name="max",
        about="the greatest over the entries of a list; missing when one of them is, or there is none",
        signatures=[(("number",), "number")],
        python="max({0})",
        sql="arrayMax({0})",
        needs="{0} != []",
        form="over",
    ),
]
ALL: Final = {function.name: function for function in _ALL}
"""By name."""
LOGIC: Final = ("and", "or", "not")
